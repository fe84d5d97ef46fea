"""A PostgreSQL that goes away: an answer and not a wait, and usable again when it is back, by the same connections."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from postgres import Postgres
from sqlalchemy import text

from ssod.errors import DatabaseUnavailable
from ssod.storage.engine import connect
from ssod.storage.migrations import migrate
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    url = postgres.scratch_url()
    migrate(url)
    database = Database(connect(url))
    yield database
    database.dispose()


def test_a_stopped_database_is_an_answer_and_its_return_needs_no_restart(postgres: Postgres, database: Database) -> None:
    """Every repository says that the database is unavailable, at once and without its password; then goes on."""
    environment, servers = EnvironmentRepository(database), ServerRepository(database)
    before = environment.read()
    postgres.stop()
    try:
        began = time.monotonic()
        for use in (environment.read, servers.all, environment.is_writable, database.schema):
            with pytest.raises(DatabaseUnavailable) as refusal:
                use()
            assert "SELECT" not in refusal.value.detail
            assert refusal.value.next_step
        assert time.monotonic() - began < 3
    finally:
        postgres.start()
    assert environment.read() == before


def test_connections_that_the_database_dropped_are_not_used_again(postgres: Postgres, database: Database) -> None:
    """After a restart of the database between two requests nobody sees an error."""
    environment = EnvironmentRepository(database)
    before = environment.read()
    postgres.stop()
    postgres.start()
    assert environment.read() == before


def test_what_a_transaction_began_before_the_loss_is_not_there(postgres: Postgres, database: Database) -> None:
    """A change whose commit did not arrive was never made."""
    with pytest.raises(DatabaseUnavailable), database.transaction() as connection:
        connection.execute(text("UPDATE environment SET epoch = 9"))
        postgres.stop()
    postgres.start()
    assert EnvironmentRepository(database).read().epoch == 0


def test_a_read_only_database_is_seen_before_a_change(postgres: Postgres) -> None:
    """A PostgreSQL standby answers reads; it says that it takes no writes."""
    url = postgres.url()
    migrate(url)
    standby = Database(connect(url))
    try:
        postgres.execute(f"ALTER DATABASE {standby.engine.url.database} SET default_transaction_read_only = on")
        environment = EnvironmentRepository(standby)
        assert not environment.is_writable()
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            environment.activate("m1", 0, None)
    finally:
        standby.dispose()


def test_a_lock_that_somebody_holds_is_waited_for_within_a_limit(postgres: Postgres, database: Database) -> None:
    """A session that holds the environment's row cannot hold up a server for longer than the lock limit."""
    other = Database(connect(database.engine.url.render_as_string(hide_password=False)))
    try:
        with other.transaction() as connection:
            connection.execute(text("UPDATE environment SET epoch = 9"))
            began = time.monotonic()
            with pytest.raises(DatabaseUnavailable, match="lock timeout"):
                EnvironmentRepository(database).activate("m1", 0, None)
            assert time.monotonic() - began < 7
    finally:
        other.dispose()


def test_a_database_that_does_not_exist_is_named_without_a_password(postgres: Postgres) -> None:
    """The driver's first line, and nothing of the URL's secrets."""
    database = Database(connect(f"postgresql+psycopg://ssod:canary-password@/nothing?host={postgres.directory}"))
    try:
        with pytest.raises(DatabaseUnavailable) as refusal:
            EnvironmentRepository(database).read()
    finally:
        database.dispose()
    assert "nothing" in refusal.value.detail
    assert "canary-password" not in refusal.value.detail
