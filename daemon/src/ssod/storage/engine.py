"""How ssod connects to the SSO database: short limits, so that a lost database is an answer and not a wait."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Dialect, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection

# Seconds and milliseconds that bound every wait on a database host that has vanished without a word.
POSTGRESQL_LIMITS: dict[str, Any] = {
    "connect_timeout": 2,  # less than this libpq does not know; see `_knock`
    "tcp_user_timeout": 2000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    # A standby at the database's address is the old primary, or is not yet the new one: what it has read is not what is true.
    "target_session_attrs": "primary",
    # The database's side of the same: a host that vanished within a transaction must not keep the environment's row locked.
    "options": (
        "-c statement_timeout=5000 -c lock_timeout=4000 -c idle_in_transaction_session_timeout=5000 "
        "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2 -c tcp_user_timeout=6000"
    ),
    "application_name": "ssod",
}

# An address that moves to another host answers there at once, but the kernel repeats a question to the old one only after 1, 3 and
# 7 s: so the question is asked anew, this often, and given up after that many seconds.
KNOCK_PAUSE = 0.4
KNOCK_LIMIT = 1.0


def _knock(dialect: Any, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
    """Lets the driver connect only where something listens."""
    host, port = parameters.get("hostaddr") or parameters.get("host"), parameters.get("port")
    if not host or "/" in host or "," in host:
        return  # a unix socket, or several hosts, of which the driver chooses
    began = time.monotonic()
    while True:
        try:
            socket.create_connection((host, port or 5432), timeout=KNOCK_PAUSE).close()
            return
        except TimeoutError:
            if time.monotonic() - began < KNOCK_LIMIT:
                continue
            why = f"no answer within {KNOCK_LIMIT:g} s"
        except OSError as error:
            why = error.strerror or str(error)
        raise dialect.loaded_dbapi.OperationalError(f"connection to {host} port {port or 5432} failed: {why}")


# Seconds that who opens or writes a SQLite file waits for others who write it, and between two attempts where SQLite does not wait.
SQLITE_PATIENCE = 5.0
SQLITE_PAUSE = 0.01


def _write_ahead(connection: Any) -> None:
    """Two that open a new file at once would both change it to WAL. SQLite has neither of them wait, as both have read it: one is
    told at once that it is locked, and has to let go of it and begin anew.
    """
    began = time.monotonic()
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() - began > SQLITE_PATIENCE:
                raise
        time.sleep(SQLITE_PAUSE)  # nobody tells that the file is free


class _Trust(threading.local):
    given = False


_trust = _Trust()


@contextmanager
def trusting() -> Iterator[None]:
    """Within it, this thread takes connections from a pool as they are, without the question whether they are still good."""
    _trust.given = True
    try:
        yield
    finally:
        _trust.given = False


def _ping_unless_trusted(dialect: Dialect) -> None:
    ping = dialect.do_ping

    def do_ping(connection: DBAPIConnection) -> bool:
        return _trust.given or ping(connection)

    dialect.do_ping = do_ping  # type: ignore[method-assign,assignment]


def connect(url: str, password_file: str | None = None, *, patient: bool = False) -> Engine:
    """An engine for `postgresql+psycopg://` or `sqlite:///`; it connects at first use.

    `patient` is for a database that nobody is served from yet: a statement may take as long as it takes.
    """
    parsed = make_url(url)
    if password_file is not None:
        parsed = parsed.set(password=Path(password_file).read_text(encoding="utf-8").rstrip("\n"))
    if parsed.get_backend_name() == "postgresql":
        limits = {} if patient else POSTGRESQL_LIMITS
        if limits and "options" in parsed.query:
            limits = limits | {"options": f"{parsed.query['options']} {limits['options']}"}
        engine = create_engine(parsed, pool_size=2, max_overflow=4, pool_timeout=5, pool_pre_ping=True, connect_args=limits)
        # Many rows are inserted by few statements, and not by one each.
        engine.dialect.use_insertmanyvalues_wo_returning = True
        event.listen(engine, "do_connect", _knock)
        _ping_unless_trusted(engine.dialect)
        return engine
    engine = create_engine(parsed, connect_args={"timeout": SQLITE_PATIENCE})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        # Autocommit on the driver's side, so that `BEGIN` below is ours: pysqlite's own would begin too late.
        connection.isolation_level = None
        _write_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # A compare-and-set reads before it writes: take the write lock at once, or two readers would deadlock.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
