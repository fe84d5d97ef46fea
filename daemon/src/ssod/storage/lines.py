"""The line on which a server hears what other servers' transactions have changed: PostgreSQL speaks on it, SQLite is looked at.

`open_line` blocks; everything else does not, and belongs to the event loop.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Protocol, cast

from sqlalchemy.exc import SQLAlchemyError

from ssod.errors import UNREADABLE, DatabaseUnavailable
from ssod.storage.changes import CHANNEL, Announced, Change, from_payloads
from ssod.storage.repository import Database

if TYPE_CHECKING:  # a server with SQLite does not have the driver in its memory
    import psycopg

# Seconds between two looks at a SQLite file: nobody tells that it has changed.
LOOK_PAUSE = 0.25


class LineLost(Exception):
    """Changes may have been missed; why, as a clause of a sentence."""


class Line(Protocol):
    def descriptor(self) -> int | None:
        """What becomes readable when there is something to hear; None: nothing does, `hear` is called every LOOK_PAUSE."""

    def hear(self) -> list[Change]:
        """What was changed. Raises LineLost."""

    def own(self, announced: Announced) -> list[Change]:
        """Of what this process announced itself, what `hear` will not give. Raises LineLost."""

    def close(self) -> None: ...


def open_line(database: Database) -> Line:
    """Whatever is committed after it has returned is heard. Raises DatabaseUnavailable."""
    try:
        return PostgresLine(database) if database.kind == "postgresql" else SqliteLine(database)
    except (SQLAlchemyError, _driver_error(database), sqlite3.Error) as error:
        raise DatabaseUnavailable(f"the SSO database does not tell of changes: {type(error).__name__}") from None


def _driver_error(database: Database) -> type[Exception]:
    return cast("type[Exception]", database.engine.dialect.loaded_dbapi.Error)


class PostgresLine:
    """A connection that is taken out of the pool, and never goes back."""

    def __init__(self, database: Database) -> None:
        pooled = database.engine.raw_connection()
        connection: psycopg.Connection[Any] = cast("psycopg.Connection[Any]", pooled.dbapi_connection)
        pooled.detach()
        try:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._error = _driver_error(database)
        # Of its own: the driver closes its descriptor when the connection is lost, and the next file opened has that number.
        self._descriptor = os.dup(connection.fileno())

    def descriptor(self) -> int:
        return self._descriptor

    def hear(self) -> list[Change]:
        wire, payloads = self._connection.pgconn, []
        try:
            wire.consume_input()
            while (notify := wire.notifies()) is not None:
                payloads.append(notify.extra.decode())
            changes = from_payloads(payloads)
        except self._error as error:
            raise LineLost(str(error).strip().partition("\n")[0]) from None
        except UNREADABLE:
            raise LineLost("it told of something that this version does not know") from None
        if self._connection.info.parameter_status("default_transaction_read_only") == "on":
            raise LineLost("it is not the primary any more")  # the changes are made elsewhere
        return changes

    def own(self, _: Announced) -> list[Change]:
        return []

    def close(self) -> None:
        os.close(self._descriptor)
        self._connection.close()


class SqliteLine:
    """A connection that looks at the number of announcements: one that this process did not make was another's."""

    def __init__(self, database: Database) -> None:
        assert database.engine.url.database is not None  # noqa: S101  the configuration gives a path
        # Without patience: who writes holds nobody up in WAL, and the event loop waits for nothing.
        self._connection = sqlite3.connect(database.engine.url.database, timeout=0, isolation_level=None, check_same_thread=False)
        self._number = self._look()

    def _look(self) -> int:
        with closing(self._connection.execute("PRAGMA user_version")) as answer:
            return int(answer.fetchone()[0])

    def descriptor(self) -> None:
        return None

    def hear(self) -> list[Change]:
        number = self._number
        with suppress(sqlite3.OperationalError):  # the next look sees it
            number = self._look()
        if number != self._number:
            self._number = number
            raise LineLost("another process has changed it")
        return []

    def own(self, announced: Announced) -> list[Change]:
        if announced.numbers is not None:
            before, after = announced.numbers
            known, self._number = self._number, after
            if known not in (before, after):
                raise LineLost("another process has changed it")
        return announced.changes

    def close(self) -> None:
        self._connection.close()
