"""`ssoctl exec`: becomes a program that finds the values it needs in its environment, or in files that are in memory only."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ssod.cli.client import Client, path_of
from ssod.cli.documents import Config, Credentials
from ssod.cli.errors import UsageRefused
from ssod.cli.output import warn
from ssod.cli.private_files import make_directory
from ssod.cli.session import session_of

PROGRAM = "ssod.program"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# By these the dynamic linker, a shell or an interpreter runs code of others within the program, before its first line.
_OBEYED = re.compile(
    r"(LD_|GLIBC_|GCONV_|BASH_|PYTHON|PERL5|RUBY).*|ENV|IFS|PS4|NODE_(OPTIONS|PATH)|(JAVA_TOOL|JDK_JAVA|_JAVA)_OPTIONS"
)


class WithProgram(TyperCommand):
    """A command line that ends in `-- PROGRAM [ARGUMENT]...`, of which every word is the program's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[PROGRAM] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- PROGRAM [ARGUMENT]..."]


def execute(
    context: typer.Context,
    *,
    application: Annotated[str, typer.Argument(metavar="APP")],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A configuration; without it: your own credentials.")] = None,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Put before the name of each variable: DB_.")] = "",
    files: Annotated[bool, typer.Option("--files", help="Files in memory, one a value, instead of variables.")] = False,
    variable: Annotated[
        str, typer.Option("--variable", metavar="NAME", help="With --files: the variable that names their directory.")
    ] = "CREDENTIALS_DIRECTORY",
) -> None:
    """Run a program with the values of a configuration, masked ones too. ssod audits it as a disclosure."""
    program: list[str] = context.meta[PROGRAM]
    if not program:
        raise UsageRefused("no program was named", next_step="ssoctl exec APP [NAME] -- PROGRAM [ARGUMENT]...")
    found = shutil.which(program[0])
    if found is None:
        raise UsageRefused(f"there is no program {program[0]} that you may run; no value was asked for")
    # Whatever can be refused without the values is refused before they are disclosed.
    if files:
        if prefix:
            raise UsageRefused("--prefix is for variables, and --files makes none of the values")
        _check_variable(variable, "--files", "name another one: --variable SECRETS_DIRECTORY")
    values = _values(session_of(context).client, application, name)
    if files:
        directory = make_directory({field: value.encode() for field, value in values.items()})
        # By its own number: children find it there as well, for as long as the program lives.
        more = {variable: f"/proc/{os.getpid()}/fd/{directory}"}
    else:
        more = _variables(values, prefix)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(found, program, os.environ | more)  # noqa: S606  the program that the caller named, and no shell
    except OSError as error:
        raise UsageRefused(f"{program[0]} cannot be run: {error.strerror}") from None


def _values(client: Client, application: str, name: str | None) -> dict[str, str]:
    if name is None:
        mine = client.read(path_of("applications", application, "credentials"), Credentials).document
        cached_at, values = mine.cached_at, {"external_id": mine.external_id} | mine.credentials
    else:
        config = client.read(path_of("applications", application, "config", name) + "?reveal=true", Config).document
        cached_at, values = config.cached_at, config.properties
    if cached_at:
        warn(f"the SSO database cannot be reached; these values were read at {cached_at} and may have changed since")
    return values


def _variables(values: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Raises UsageRefused for a value that cannot be a variable, and for a variable that would steer more than the program."""
    made: dict[str, str] = {}
    for field, value in values.items():
        variable = prefix + re.sub(r"[^A-Z0-9_]", "_", field.upper())
        _check_variable(variable, f"field {field}", "put something before all of their names, such as --prefix DB_; or use --files")
        if variable in made:
            raise UsageRefused(f"two fields would both be variable {variable}", next_step="use --files")
        if "\0" in value:
            raise UsageRefused(f"field {field} holds a NUL character, which no variable can", next_step="use --files")
        made[variable] = value
    return made


def _check_variable(variable: str, of: str, next_step: str) -> None:
    if not _VARIABLE.fullmatch(variable):
        raise UsageRefused(f"{of}: {variable} is no name of a variable", next_step=next_step)
    if _OBEYED.fullmatch(variable):
        raise UsageRefused(f"{of}: {variable} would be obeyed by a shell, an interpreter or the linker", next_step=next_step)
    if variable in os.environ:
        raise UsageRefused(f"{of}: variable {variable} is set already", next_step=next_step)
