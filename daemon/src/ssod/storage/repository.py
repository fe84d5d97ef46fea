"""The environment and its servers in the SSO database; every change by a master is checked against its epoch here.

Each method that writes is one transaction. Methods block; call them off the event loop. A database that cannot be reached is
DatabaseUnavailable; everything else raised is a refusal of `ssod.errors`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Double, Engine, Row, Select, delete, event, insert, literal_column, select, text, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from ssod.errors import DatabaseUnavailable, InvalidValue, SecretExists, ServerIsMaster, ServerNotFound, StaleEpoch, VersionConflict
from ssod.storage import schema as t
from ssod.storage.changes import Announced, Change, announce, collect
from ssod.storage.connections import Connections
from ssod.storage.engine import trusting
from ssod.storage.records import BackupRecord, Environment, KeyRecord, Look, NextKey, ServerRecord, ServerReport
from ssod.storage.revoking import revoke_all_of
from ssod.storage.tolerance import Found, look


def aware(moment: datetime) -> datetime:
    """SQLite gives naive times back; all of ours are UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def describe(error: SQLAlchemyError) -> str:
    """The driver's first line; never a statement or its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


class ConnectionLost(DatabaseUnavailable):
    """It was an old connection that failed, and perhaps no more than that."""


class Database:
    """Connections and transactions; the repositories are built on it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT") if engine.dialect.name == "postgresql" else engine
        # What the database said last, on the connection that was used last.
        self.read_only = False
        # Called in the writing thread with what a transaction of this process has changed, before the writer goes on.
        self.hear: Callable[[Announced], None] = lambda _: None
        self._connections = Connections()
        self._lost_at: float | None = None
        if self.kind == "postgresql":
            event.listen(engine, "connect", self._connections.note)
            event.listen(engine, "invalidate", self._note_loss)

    def _note_loss(self, *_: object) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()

    @property
    def kind(self) -> str:
        return self.engine.dialect.name

    def transaction(self) -> AbstractContextManager[Connection]:
        return self.use(self.engine)

    def reads(self) -> AbstractContextManager[Connection]:
        """As `transaction`, for what only reads. PostgreSQL shows each statement what is committed when it begins, within a
        transaction and without: BEGIN and COMMIT are spared, which were half of what many servers cost the database.
        """
        return self.use(self._reading)

    def rows(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        """Those of one statement, by one question to the database: the connection is not tried first. Where it turns out to be
        lost, the statement, which only reads, goes over another.
        """
        try:
            with trusting(), self.reads() as connection:
                return connection.execute(statement).all()
        except ConnectionLost:
            with self.reads() as connection:
                return connection.execute(statement).all()

    @contextmanager
    def use(self, engine: Engine) -> Iterator[Connection]:
        """A connection for one use, and the word of errors for whatever goes wrong with it."""
        try:
            announced = Announced()
            try:
                with engine.begin() as connection:
                    pending = collect(connection)
                    yield connection
                    announced = pending  # from here on it may be committed, even where the word of that is lost
                    if self.kind == "postgresql":
                        self._note_answer(connection.connection.dbapi_connection)
            finally:
                if announced.changes:
                    self.hear(announced)
        except IntegrityError:  # two made, or one removed, what this transaction had looked for
            raise VersionConflict("somebody else wrote this at the same moment", next_step="read it again and repeat it") from None
        except DataError:  # PostgreSQL keeps no NUL in a text; the database itself is well
            raise InvalidValue("a value cannot be kept by the SSO database", next_step="leave out NUL characters") from None
        except SQLAlchemyError as error:
            if isinstance(error, OperationalError) and getattr(error.orig, "sqlstate", None) is None:
                self._note_loss()  # it was the connection that failed, and not what was asked for
            if isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _READ_ONLY:
                # An old primary, perhaps: the next one who asks connects anew, to whatever the address leads to then.
                self.read_only = True
                self.renew()
            lost = isinstance(error, DBAPIError) and error.connection_invalidated
            raise (ConnectionLost if lost else DatabaseUnavailable)(
                f"the SSO database cannot be used: {describe(error)}",
                next_step="bring the database back; this server recovers by itself within seconds",
            ) from None

    def _note_answer(self, connection: Any) -> None:
        # PostgreSQL 14 and later say so by themselves, whenever that changes: it costs no question.
        self.read_only = connection.info.parameter_status("default_transaction_read_only") == "on"
        lost = self._lost_at
        if lost is not None and self._connections.made(connection) > lost:
            # There is a database again: whoever waits on a connection to the lost one waits in vain.
            self._lost_at = None
            self.cut(before=lost)

    def renew(self) -> None:
        """From now on connections are made anew; those in use end with their transaction."""
        self.engine.dispose()

    def cut(self, before: float = float("inf")) -> None:
        """Ends the connections made before that moment, under the threads that wait on them: nobody will answer there any more."""
        self._connections.cut(before)

    def schema(self) -> Found:
        """What the database says of its schema."""
        with self.reads() as connection:
            return look(connection)

    def dispose(self) -> None:
        self.engine.dispose()


# SQLSTATE read_only_sql_transaction
_READ_ONLY = "25006"

# Told of who is the master, its secrets and backups, and who is enrolled; not of what each server reports of itself.
ENVIRONMENT = Change("environment")

# The database's clock, in seconds since 1970: the one clock that the masters of two epochs share.
_CLOCKS = {
    "postgresql": literal_column("extract(epoch FROM clock_timestamp())::double precision", Double),
    "sqlite": literal_column("(julianday('now') - 2440587.5) * 86400.0", Double),
}


def clock(connection: Connection) -> float:
    return float(connection.execute(select(_CLOCKS[connection.dialect.name])).scalar_one())


def read_environment(connection: Connection, *, lock: bool = False, share: bool = False) -> Environment:
    """The environment's row with its keys; `lock` keeps it as it is until the transaction ends, and so does `share`, which others
    may do at the same time.
    """
    # What a rotation is to make current is asked along, by an outer join: every writer looks here, and mostly it is not there.
    both = t.next_key.c.one == t.environment.c.one
    its_clock = _CLOCKS[connection.dialect.name].label("clock")
    statement = select(t.environment, its_clock, *_NEXT).join_from(t.environment, t.next_key, both, isouter=True)
    if lock or share:
        statement = statement.with_for_update(read=share, of=t.environment)
    row = connection.execute(statement).one()
    keys = connection.execute(select(t.master_key).order_by(t.master_key.c.created_at)).all()
    newest = connection.execute(
        select(t.backup).where(t.backup.c.key_id == row.current_key_id).order_by(t.backup.c.verified_at.desc()).limit(1)
    ).one_or_none()
    confirmed = None if row.confirmed_at is None else max(0.0, row.clock - row.confirmed_at)
    of_this_epoch = row.confirmed_epoch == row.epoch
    return Environment(
        row.id,
        row.master,
        row.epoch,
        row.current_key_id,
        tuple(
            KeyRecord(key.key_id, key.canary, aware(key.created_at), aware(key.retired_at) if key.retired_at else None)
            for key in keys
        ),
        _backup(newest) if newest else None,
        confirmed if confirmed is not None and row.confirmed_epoch < row.epoch else None,
        row.confirmed_at if of_this_epoch else None,
        confirmed if of_this_epoch else None,
        _next_key(row),
        row.roster or "",
        aware(row.epoch_since) if row.epoch_since else None,
    )


def _backup(row: Any) -> BackupRecord:
    return BackupRecord(row.sha256, row.key_id, aware(row.verified_at), row.place, row.protection)


_NEXT = [column.label(f"next_{column.name}") for column in t.next_key.c]


def _next_key(row: Any) -> NextKey | None:
    if row.next_key_id is None:
        return None
    backup = None
    if row.next_sha256 is not None:
        verified = aware(row.next_verified_at)
        backup = BackupRecord(row.next_sha256, row.next_key_id, verified, row.next_place, row.next_protection)
    return NextKey(row.next_key_id, row.next_canary, aware(row.next_created_at), backup)


@contextmanager
def acting_as_master(database: Database, server: str, epoch: int) -> Iterator[tuple[Connection, Environment]]:
    """A transaction of the master of `epoch`, which stays that until it ends. Raises StaleEpoch."""
    with database.transaction() as connection:
        environment = read_environment(connection, lock=True)
        refuse_stale(environment, server, epoch)
        yield connection, environment
        announce(connection, ENVIRONMENT)


def refuse_stale(environment: Environment, server: str, epoch: int) -> None:
    if environment.epoch != epoch or environment.master != server:
        raise StaleEpoch(epoch, environment.epoch, environment.master)


def _server(row: Any) -> ServerRecord:
    return ServerRecord(
        row.name,
        row.address,
        row.may_become_master,
        row.attached,
        row.key_id,
        row.sealed_key_id,
        row.epoch,
        row.version,
        aware(row.last_seen) if row.last_seen else None,
        row.audit_sequence,
        row.audit_head,
    )


def read_servers(connection: Connection) -> tuple[ServerRecord, ...]:
    return tuple(_server(row) for row in connection.execute(select(t.server).order_by(t.server.c.name)))


def _look(connection: Connection, roster: str | None) -> Look:
    # The environment first: servers that are newer than its roster are read once more by the next look, older ones would stay.
    environment = read_environment(connection)
    return Look(environment, None if environment.roster == roster else read_servers(connection))


class EnvironmentRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Environment:
        with self._database.reads() as connection:
            return read_environment(connection)

    def look(self, roster: str | None = None) -> Look:
        """What each server asks again every few seconds. `roster` is of the servers that it knows: they are not read again."""
        with self._database.reads() as connection:
            return _look(connection, roster)

    def confirm(self, server: str, epoch: int, roster: str | None = None) -> Look:
        """As `look`; and writes down that the master of `epoch` is `server` still, if that is so."""
        with self._database.transaction() as connection:
            connection.execute(
                update(t.environment)
                .where(t.environment.c.epoch == epoch, t.environment.c.master == server)
                .values(confirmed_at=clock(connection), confirmed_epoch=epoch)
            )
            return _look(connection, roster)

    def stepped_down(self, epoch: int, confirmation: float | None) -> None:
        """The master of `epoch` says that it acts no more: nobody has to wait until its confirmation is old."""
        with self._database.transaction() as connection:
            # Of this epoch alone: a master that never came to act must not take back the confirmation of one that still may.
            # And just the one that it ended: this may arrive late, when the same server acts again, by a newer one.
            connection.execute(
                update(t.environment)
                .where(t.environment.c.confirmed_epoch == epoch, t.environment.c.confirmed_at == confirmation)
                .values(confirmed_at=None, confirmed_epoch=None)
            )

    def is_writable(self) -> bool:
        """False for a PostgreSQL standby, or a SQLite file that may not be written (it raises then, as for a full disk)."""
        with self._database.transaction() as connection:
            if self._database.kind != "postgresql":
                return True  # BEGIN IMMEDIATE has taken the write lock
            return str(connection.execute(text("SHOW transaction_read_only")).scalar_one()) == "off"

    def activate(self, server: str, expected_epoch: int, expected_key_id: bytes | None, newest_epoch: int = 0) -> int:
        """Makes `server` the master of a new epoch, which is returned. Raises StaleEpoch when it lost the race.

        Epoch and current key must still be those that the decision was made on. The new epoch is above `newest_epoch` too,
        the highest that the server has seen: a database that was restored from an older copy gives none out twice.
        """
        with self._database.transaction() as connection:
            environment = read_environment(connection, lock=True)
            if (environment.epoch, environment.current_key_id) != (expected_epoch, expected_key_id):
                raise StaleEpoch(expected_epoch, environment.epoch, environment.master)
            epoch = max(environment.epoch, newest_epoch) + 1
            connection.execute(update(t.environment).values(master=server, epoch=epoch))
            announce(connection, ENVIRONMENT)
            return epoch

    def deactivate(self, server: str, epoch: int, *, acts: bool) -> int:
        """Ends `server`'s mastership of `epoch`, leaving none; returns the new epoch.

        A server that `acts` does so until it has heard that this happened, and takes its confirmation back then by `stepped_down`.
        That of one which has ceased to act already ends here, also where one was still under way when it ceased.
        """
        with self._database.transaction() as connection:
            changed = connection.execute(
                update(t.environment)
                .where(t.environment.c.epoch == epoch, t.environment.c.master == server)
                .values(master=None, epoch=epoch + 1)
            ).rowcount
            if changed != 1:
                now = read_environment(connection)
                raise StaleEpoch(epoch, now.epoch, now.master)
            if not acts:
                connection.execute(
                    update(t.environment)
                    .where(t.environment.c.confirmed_epoch == epoch)
                    .values(confirmed_at=None, confirmed_epoch=None)
                )
            announce(connection, ENVIRONMENT)
            return epoch + 1

    def add_first_secret(self, server: str, epoch: int, key: KeyRecord) -> None:
        """Makes `key` current in an environment that has no secret. Raises SecretExists, StaleEpoch."""
        with acting_as_master(self._database, server, epoch) as (connection, environment):
            if environment.current_key_id is not None:
                raise SecretExists(f"the environment has the master secret {environment.current_key_id.hex()}")
            connection.execute(insert(t.master_key).values(key._asdict()))
            connection.execute(update(t.environment).values(current_key_id=key.key_id))

    def record_backup(self, server: str, epoch: int, record: BackupRecord, held: Collection[bytes] = ()) -> None:
        """Makes a verified backup count: for the key that it names, and for the next one if that is among those `held` by it.

        Raises StaleEpoch.
        """
        with acting_as_master(self._database, server, epoch) as (connection, environment):
            keep_backup(connection, record)
            if environment.next_key is not None and environment.next_key.key_id in held:
                values = record._asdict() | {"key_id": environment.next_key.key_id}
                connection.execute(update(t.next_key).values(values))


def keep_backup(connection: Connection, record: BackupRecord) -> None:
    connection.execute(delete(t.backup).where(t.backup.c.sha256 == record.sha256))
    connection.execute(insert(t.backup).values(record._asdict()))


class ServerRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[ServerRecord, ...]:
        with self._database.reads() as connection:
            return read_servers(connection)

    def enrol(self, name: str, address: str, may_become_master: bool, now: datetime) -> ServerRecord:
        """Enrols a server, or changes its address and whether it may become master."""
        values = {"address": address, "may_become_master": may_become_master}
        with self._database.transaction() as connection:
            # Before the server's row, as whoever removes it does: the roster is noted in it, and neither must wait for the other.
            read_environment(connection, lock=True)
            changed = connection.execute(update(t.server).where(t.server.c.name == name).values(values)).rowcount
            if changed == 0:
                connection.execute(insert(t.server).values(name=name, enrolled_at=now, **values))
            announce(connection, ENVIRONMENT)
            return _server(connection.execute(select(t.server).where(t.server.c.name == name)).one())

    def remove(self, name: str, now: datetime) -> None:
        """Removes a server, and has every server refuse its certificates. Raises ServerIsMaster, ServerNotFound."""
        with self._database.transaction() as connection:
            if read_environment(connection, lock=True).master == name:
                raise ServerIsMaster(f"{name} is the master", next_step="make another server the master first")
            if connection.execute(delete(t.server).where(t.server.c.name == name)).rowcount == 0:
                raise ServerNotFound(f"server {name} is not enrolled")
            revoke_all_of(connection, name, now)
            announce(connection, ENVIRONMENT)

    def report(self, name: str, report: ServerReport, now: datetime) -> None:
        """Writes what an enrolled server says of itself; says nothing for one that is not."""
        said = {key: value for key, value in report._asdict().items() if value is not None or not key.startswith("audit_")}
        with self._database.transaction() as connection:
            connection.execute(update(t.server).where(t.server.c.name == name).values(last_seen=now, **said))
