"""The migrations make just the schema that the code reads, once."""

from __future__ import annotations

import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from at_once import at_once
from sqlalchemy import text, update

from ssod import __version__
from ssod.errors import SchemaRefused
from ssod.storage.engine import connect
from ssod.storage.migrations import OLDEST_TOLERATED, migrate, pending, upgrade
from ssod.storage.repository import Database, EnvironmentRepository
from ssod.storage.schema import REVISION, metadata, tolerance
from ssod.storage.tolerance import Found, refusal


def test_an_empty_database_is_brought_up_and_then_left_alone(empty_url: str) -> None:
    """The first migration changes the database, the second finds nothing to do, and `pending` says so before."""
    assert pending(empty_url)
    assert migrate(empty_url)
    assert not pending(empty_url)
    assert not migrate(empty_url)


def test_servers_that_migrate_at_once_do_it_once(empty_url: str) -> None:
    """Of four that begin together one makes the tables, and the others find them."""
    outcomes = at_once([partial(migrate, empty_url)] * 4)
    assert sorted(map(str, outcomes)) == ["False", "False", "False", "True"]


def test_a_new_sqlite_file_that_somebody_writes_is_waited_for(tmp_path: Path) -> None:
    """Its change to WAL too, which SQLite itself has nobody wait for: of servers that begin together one is at it first."""
    with ThreadPoolExecutor(1) as pool, closing(sqlite3.connect(tmp_path / "sso.db", isolation_level=None)) as first:
        first.execute("BEGIN IMMEDIATE")
        migrating = pool.submit(migrate, f"sqlite:///{tmp_path}/sso.db")
        assert not wait([migrating], timeout=0.5).done, migrating.exception()
        first.execute("COMMIT")
        assert migrating.result()


def test_the_schema_is_told(empty_url: str) -> None:
    """An empty database has no revision; a migrated one has the one of the code, and says whom it tolerates and who made it."""
    database = Database(connect(empty_url))
    try:
        assert database.schema() == Found(None)
        migrate(empty_url)
        assert database.schema() == Found(REVISION, OLDEST_TOLERATED, __version__)
    finally:
        database.dispose()


def tell(url: str, revision: str, oldest: str) -> None:
    """Makes the database one that a newer ssod has migrated, as far as an older one can see it."""
    engine = connect(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
            connection.execute(update(tolerance).values(oldest=oldest, version="99.1"))
    finally:
        engine.dispose()


def test_a_newer_schema_that_tolerates_this_version_is_left_alone(url: str) -> None:
    """One step back finds nothing to do, and the word of the newer version stays."""
    tell(url, "9999", REVISION)
    assert not pending(url)
    assert not migrate(url)
    database = Database(connect(url))
    try:
        assert database.schema() == Found("9999", REVISION, "99.1")
    finally:
        database.dispose()


def test_a_newer_schema_that_does_not_is_refused(url: str) -> None:
    """With both versions and what to do; by the look before, too."""
    tell(url, "9999", "9998")
    for act in (pending, migrate):
        with pytest.raises(SchemaRefused, match=rf"by ssod 99\.1.* schema 9998, and this is ssod {__version__}") as refused:
            act(url)
        assert "install ssod 99.1" in (refused.value.next_step or "")


def test_a_change_that_the_running_servers_would_not_survive_is_refused(empty_url: str) -> None:
    """They are of the schema that the database has, or of an older one. It happens once it is said that none of them runs."""
    before = f"{int(OLDEST_TOLERATED) - 1:04}"
    engine = connect(empty_url)
    try:
        upgrade(engine, before)
    finally:
        engine.dispose()
    for act in (pending, migrate):
        with pytest.raises(SchemaRefused, match="would fail") as refused:
            act(empty_url)
        assert "--stopped" in (refused.value.next_step or "")
    assert pending(empty_url, stopped=True)
    assert migrate(empty_url, stopped=True)


@pytest.mark.parametrize(
    ("found", "works"),
    [
        (Found(None), False),
        (Found("0004"), False),
        (Found("0005"), True),
        (Found("0006"), False),
        (Found("0006", "0006", "2"), False),
        (Found("0006", "0005", "2"), True),
        (Found("0006", "0004", "2"), True),
    ],
)
def test_whether_a_version_works_on_a_database(found: Found, works: bool) -> None:
    """Of schema 0005; a newer schema must say that it tolerates it."""
    assert (refusal(found, version="1", revision="0005") is None) is works


def test_the_migrations_make_the_schema_of_the_code(database: Database) -> None:
    """Alembic finds no difference between what the migrations made and storage/schema.py."""
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_a_new_environment_is_empty_and_has_an_id_of_its_own(database: Database) -> None:
    """One row: a random id, no master, epoch 0, no secret."""
    environment = EnvironmentRepository(database).read()
    assert uuid.UUID(environment.id).version == 4
    assert (environment.master, environment.epoch, environment.current_key_id, environment.keys) == (None, 0, None, ())
    assert (environment.backup, environment.earlier_master_confirmed) == (None, None)
