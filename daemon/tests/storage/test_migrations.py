"""The migrations make just the schema that the code reads, once."""

from __future__ import annotations

import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from at_once import at_once

from ssod.storage.engine import connect
from ssod.storage.migrations import migrate, pending
from ssod.storage.repository import Database, EnvironmentRepository
from ssod.storage.schema import REVISION, metadata


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


def test_the_revision_is_told(empty_url: str) -> None:
    """An empty database has no revision; a migrated one has the one that the code needs."""
    database = Database(connect(empty_url))
    try:
        assert database.revision() is None
        migrate(empty_url)
        assert database.revision() == REVISION
    finally:
        database.dispose()


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
