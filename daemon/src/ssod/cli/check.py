"""`ssoctl check`: whether a configuration file would be accepted, with every reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssod.cli.errors import UsageRefused
from ssod.cli.output import say

if TYPE_CHECKING:
    from ssod.config import Config

DEFAULT_CONFIGURATION = Path("/etc/ssod/ssod.toml")


def check(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", readable=False, help="The configuration file.")] = DEFAULT_CONFIGURATION,
) -> None:
    """Check a configuration file; every problem is told, and no secret. Exit code 0 or 2."""
    load(file)
    say(f"{file} is valid")


def load(file: Path) -> Config:
    """The daemon's own reading of the file, so that what passes here is what starts there."""
    from ssod.config import load as load_configuration
    from ssod.errors import ConfigurationRefused

    try:
        return load_configuration(file)
    except ConfigurationRefused as refused:
        raise UsageRefused(
            f"{file} is refused",
            conditions=refused.conditions,
            next_step="docs/configuration.md has every key; nothing was changed",
        ) from None
    except OSError as error:
        raise UsageRefused(f"cannot read {file}: {error.strerror}", next_step="name a file that you may read") from None
