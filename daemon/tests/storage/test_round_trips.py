"""What is read for the first time costs one question to the database; a connection that has died meanwhile costs no error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from keys import secret
from postgres import Postgres

from ssod.storage.applications import ApplicationRepository
from ssod.storage.engine import connect
from ssod.storage.mappings import MappingRepository
from ssod.storage.migrations import migrate
from ssod.storage.records import Application, ConfigRecord, Field, KeyRecord
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = secret(1).id
FIELDS = tuple(Field(f"f{number}") for number in range(10))


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """With a configuration of ten fields; PostgreSQL writes every statement into its log."""
    url = postgres.url()
    migrate(url)
    name = url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} SET log_statement = 'all'")
    made = Database(connect(url))
    environment, applications = EnvironmentRepository(made), ApplicationRepository(made)
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, KeyRecord(KEY, b"canary", NOW))
    applications.put(Application("app", "", "", True, (), (), FIELDS, 0), None)
    applications.put_config(ConfigRecord("app", "in", 0, NOW, {field.name: b"e" for field in FIELDS}), KEY, 0)
    yield made
    made.dispose()


def statements(log: Path, act: Callable[[], object]) -> list[str]:
    """What PostgreSQL was asked meanwhile."""
    before = log.stat().st_size
    act()
    lines = log.read_bytes()[before:].decode().splitlines()
    return [line for line in lines if "statement: " in line or "execute " in line]


def test_a_configuration_is_one_question(database: Database, postgres: Postgres) -> None:
    """With all of its fields; on a connection that has been used before."""
    repository = ApplicationRepository(database)
    log = postgres.directory / "log"
    assert len(statements(log, lambda: repository.config("app", "in"))) == 1
    assert len(repository.config("app", "in").envelopes) == len(FIELDS)


def test_credentials_are_one_question(database: Database, postgres: Postgres) -> None:
    """Whoever of the caller's principals has them."""
    repository = MappingRepository(database)
    assert len(statements(postgres.directory / "log", lambda: repository.first("app", ["user:u", "group:g"]))) == 1


def test_a_look_at_the_environment_is_three_questions(database: Database, postgres: Postgres) -> None:
    """Each server looks every few seconds: the environment with what is to be current next, its keys, their backup. The servers are
    the fourth, for who does not know them yet.
    """
    log, environment = postgres.directory / "log", EnvironmentRepository(database)
    ServerRepository(database).enrol("m1", "m1:1", True, NOW)

    def selects(roster: str | None) -> list[str]:
        # beside the question whether the connection is still good
        return [each for each in statements(log, lambda: environment.look(roster)) if "SELECT" in each]

    assert len(selects(None)) == 4
    known = selects(environment.read().roster)
    assert len(known) == 3
    assert not any("FROM server" in each for each in known)


def test_a_connection_that_was_ended_is_replaced(database: Database, postgres: Postgres) -> None:
    """It is not tried before: what is read goes over another one."""
    repository = ApplicationRepository(database)
    repository.config("app", "in")
    postgres.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ssod'")
    assert len(repository.config("app", "in").envelopes) == len(FIELDS)
