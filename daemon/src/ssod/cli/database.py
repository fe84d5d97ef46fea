"""`ssoctl database`: brings the schema of the SSO database to what this version of ssod needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssod.cli.check import DEFAULT_CONFIGURATION, load
from ssod.cli.errors import CliError, Temporary, UsageRefused
from ssod.cli.journal import Act
from ssod.cli.output import say
from ssod.cli.recovery import copy_url, dump, recover
from ssod.cli.session import session_of

if TYPE_CHECKING:
    from ssod.config import DatabaseConfig

app = typer.Typer(no_args_is_help=True, help="The SSO database: its schema, a copy of it, and its recovery from a copy.")
app.command("dump")(dump)
app.command("recover")(recover)


@app.command()
def migrate(
    context: typer.Context,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", readable=False, help="Where the database's URL stands.")
    ] = DEFAULT_CONFIGURATION,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="URL", help="A restored copy, in place of the database of the configuration."),
    ] = None,
    only_check: Annotated[bool, typer.Option("--check", help="Only say whether it would be changed.")] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="No older ssod runs any more, nor will: change it though they could not work on it.")
    ] = False,
) -> None:
    """Bring the schema to this version's; a newer one is left, where this version works on it.

    The last word of the output is `changed` or `unchanged`.
    """
    where = load(config).database if database is None else _copy(database)
    # No server works on a restored copy.
    stopped = stopped or database is not None
    if only_check:
        changed = _run(where, only_check=True, stopped=stopped)
        say(f"the schema {'would be changed' if changed else 'is one for this version and would stay unchanged'}")
        return
    with session_of(context).journal.step(Act("the schema was changed", "ssoctl database migrate --check")):
        changed = _run(where, only_check=False, stopped=stopped)
    say(f"the schema {'was changed' if changed else 'is one for this version already: unchanged'}")


def _copy(url: str) -> DatabaseConfig:
    from ssod.config import DatabaseConfig

    return DatabaseConfig(copy_url(url))


def _run(where: DatabaseConfig, *, only_check: bool, stopped: bool) -> bool:
    # Alembic and SQLAlchemy take longer to import than every other command takes to run.
    from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

    from ssod.errors import SchemaRefused
    from ssod.storage.migrations import migrate as bring_up
    from ssod.storage.migrations import pending

    try:
        return (pending if only_check else bring_up)(where.url, where.password_file, stopped=stopped)
    except OperationalError as error:
        raise Temporary(
            f"the SSO database cannot be used: {_first_line(error.orig)}; nothing was changed",
            next_step="see that it runs and that this user may reach it, then run this again",
        ) from None
    except DBAPIError as error:
        raise CliError(f"the SSO database refused: {_first_line(error.orig)}; nothing was changed") from None
    except SchemaRefused as error:
        raise CliError(f"{error.detail}; nothing was changed", next_step=error.next_step or "") from None
    except (SQLAlchemyError, OSError, ValueError) as error:
        # The text of these can hold the URL; its kind and the setting are enough to find what is wrong.
        raise UsageRefused(
            f"database.url or database.password_file cannot be used ({type(error).__name__})",
            next_step="docs/configuration.md says how they are written; nothing was changed",
        ) from None


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]
