"""Wires the commands together, and turns how they end into an exit code and a few lines on standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli import (
    applications,
    audit,
    backup,
    cipher,
    config,
    credentials,
    database,
    mappings,
    master,
    roles,
    sealing,
    secret,
    servers,
    sso,
    store,
    units,
)
from ssod.cli.check import check
from ssod.cli.errors import CliError
from ssod.cli.execute import WithProgram, execute
from ssod.cli.exit_codes import MEANINGS, ExitCode
from ssod.cli.health import check_health
from ssod.cli.journal import Journal
from ssod.cli.openapi import openapi
from ssod.cli.output import explain
from ssod.cli.session import DEFAULT_SOCKET, Session
from ssod.cli.status import selftest, status

EPILOGUE = "\n".join(["Exit codes:", *(f"{code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())])

app = typer.Typer(
    name="ssoctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=EPILOGUE,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def ssoctl(
    context: typer.Context,
    socket: Annotated[
        Path, typer.Option("--socket", envvar="SSOD_SOCKET", metavar="PATH", readable=False, help="The unix socket of ssod.")
    ] = DEFAULT_SOCKET,
) -> None:
    """Holdfast's command-line tool: speaks with the ssod of this host over its unix socket."""
    journal: Journal = context.obj
    context.obj = Session(socket, journal)


app.command()(status)
app.add_typer(secret.app, name="secret")
app.add_typer(backup.app, name="backup")
app.add_typer(master.app, name="master")
app.add_typer(servers.app, name="servers")
app.add_typer(roles.app, name="role")
app.add_typer(sso.app, name="sso")
app.add_typer(applications.app, name="application")
app.add_typer(config.app, name="config")
app.add_typer(mappings.app, name="mapping")
app.add_typer(credentials.credentials_app, name="credentials")
app.add_typer(credentials.ticket_app, name="ticket")
app.add_typer(units.app, name="unit-credential")
app.command()(store.export)
app.command("import")(store.take)
app.command()(cipher.encrypt)
app.command()(cipher.decrypt)
app.command("exec", cls=WithProgram)(execute)
app.command()(selftest)
app.command("check-health")(check_health)
app.command()(check)
app.command()(openapi)
app.add_typer(audit.app, name="audit")
app.add_typer(sealing.app, name="sealing")
app.add_typer(database.app, name="database")


def run(arguments: Sequence[str] | None = None) -> int:
    """One command; the exit code."""
    journal = Journal()
    try:
        typer.main.get_command(app).main(args=None if arguments is None else list(arguments), prog_name="ssoctl", obj=journal)
    except CliError as error:
        explain(error)
        return error.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else ExitCode.USAGE
        if code == ExitCode.INTERRUPTED:
            _tell_interruption(journal)
        return code
    except KeyboardInterrupt:
        _tell_interruption(journal)
        return ExitCode.INTERRUPTED
    return ExitCode.OK


def _tell_interruption(journal: Journal) -> None:
    print("\nssoctl: interrupted", file=sys.stderr)
    for line in journal.story():
        print(f"  - {line}", file=sys.stderr)
