"""How a backup is closed and opened: a passphrase, recipients or an identity, none of them ever taken from argv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.asking import ask_new_passphrase, ask_passphrase, somebody_is_there
from ssod.cli.errors import UsageRefused
from ssod.cli.files import STANDARD_INPUT, is_readable_by_others, read_input, read_line_file
from ssod.cli.output import warn

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        readable=False,
        help="One line; `-`: standard input. On a terminal you are asked otherwise.",
    ),
]
Output = Annotated[
    Path, typer.Option("--output", metavar="FILE", readable=False, help="Where the backup goes, with FILE.about.json.")
]
Recipients = Annotated[
    list[str] | None,
    typer.Option("--recipient", metavar="age1...", help="An age recipient instead of a passphrase; can be repeated."),
]
IdentityFile = Annotated[
    Path | None,
    typer.Option("--identity-file", metavar="FILE", readable=False, help="The age identity (AGE-SECRET-KEY-1...) of a recipient."),
]
ShareFiles = Annotated[
    list[Path] | None,
    typer.Option("--share-file", metavar="FILE", readable=False, help="A share as its holder opened it; repeated, once for each."),
]
Reminder = Annotated[str | None, typer.Option("--reminder", help="What reminds you of the passphrase. Readable without it!")]

IDENTITY_PREFIX = "AGE-SECRET-KEY-"


@dataclass(frozen=True)
class Protection:
    """`making` goes into the request that makes a backup, `opening` into the one that verifies it."""

    making: Mapping[str, object] = field(repr=False)
    opening: Mapping[str, str] = field(repr=False)


def protection_of(passphrase_file: Path | None, recipients: Sequence[str], reminder: str | None) -> Protection:
    """Asks for a passphrase where nothing was given and somebody is there."""
    if passphrase_file is not None and recipients:
        raise UsageRefused("a backup is for recipients or has a passphrase, not both", next_step="make two backups")
    extra = {} if reminder is None else {"reminder": reminder}
    if recipients:
        if any(recipient.upper().startswith(IDENTITY_PREFIX) for recipient in recipients):
            raise UsageRefused(
                "a --recipient is an identity, the secret half; nothing was done",
                conditions=["it was readable in the arguments of this command: do not use that identity any more"],
                next_step="give its public half, which begins with age1 (`age-keygen -y FILE` prints it)",
            )
        return Protection({"recipients": list(recipients), **extra}, {})
    passphrase = _passphrase(passphrase_file) or ask_new_passphrase()
    return Protection({"passphrase": passphrase, **extra}, {"passphrase": passphrase})


def key_to_open(
    passphrase_file: Path | None, identity_file: Path | None, share_files: Sequence[Path] | None
) -> dict[str, str | list[str]]:
    """The member of a request that opens a backup."""
    if [passphrase_file is not None, identity_file is not None, bool(share_files)].count(True) > 1:
        raise UsageRefused("a backup is opened with a passphrase, an identity or shares", next_step="give one of the three")
    if identity_file is not None:
        return {"identity": _identity(identity_file)}
    if share_files:
        return {"shares": [_share(file) for file in share_files]}
    return {"passphrase": _passphrase(passphrase_file) or ask_passphrase()}


def _passphrase(file: Path | None) -> str | None:
    """None: the person at the terminal is to be asked."""
    if file is not None:
        _warn_when_open(file)
        return read_line_file(file, "the passphrase file")
    if somebody_is_there():
        return None
    raise UsageRefused(
        "no passphrase was given, and nobody can be asked: standard input is not a terminal",
        next_step="name a file with --passphrase-file; see --help for the other ways",
    )


def _identity(file: Path) -> str:
    """The one identity of an age identity file, whose other lines are comments."""
    _warn_when_open(file)
    try:
        lines = read_input(file, "the identity file").decode("ascii").split()
    except UnicodeDecodeError:
        lines = []
    found = [word for word in lines if word.startswith(IDENTITY_PREFIX)]
    if len(found) != 1:
        raise UsageRefused(
            f"the identity file {file} must hold exactly one identity, and holds {len(found)}",
            next_step=f"its line begins with {IDENTITY_PREFIX}1; decrypt an encrypted identity file with `age -d` first",
        )
    return found[0]


def _share(file: Path) -> str:
    """The text of a share; what it says is for ssod to judge."""
    _warn_when_open(file)
    content = read_input(file, "the share")
    if content.startswith(b"age-encryption.org/"):
        raise UsageRefused(
            f"the share {file} is still encrypted for its holder", next_step="its holder opens it: age -d -i KEY FILE"
        )
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise UsageRefused(f"{file} is no share", next_step="name what `age -d` prints of the holder's file") from None


def _warn_when_open(file: Path) -> None:
    if file != STANDARD_INPUT and file.exists() and is_readable_by_others(file):
        warn(f"{file} can be read by other users of this host: chmod 600 it")
