"""What a transaction has changed is heard when it is committed, by this process and, on PostgreSQL, by everyone who listens."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from ssod.storage.changes import MOST, Change, announce, from_payloads
from ssod.storage.repository import Database

CHANGE = Change("config", "sftp", "in/ü")


@pytest.fixture
def heard(database: Database) -> list[Change]:
    """What this process hears."""
    changes: list[Change] = []
    database.hear = lambda announced: changes.extend(announced.changes)
    return changes


def test_a_committed_change_is_heard_in_the_process_that_made_it(database: Database, heard: list[Change]) -> None:
    """Once it is committed, and not before."""
    with database.transaction() as connection:
        announce(connection, CHANGE)
        assert heard == []
    assert heard == [CHANGE]


def test_a_change_that_is_rolled_back_is_not_heard(database: Database, heard: list[Change]) -> None:
    """Nor with the next transaction on the same connection."""
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        announce(connection, CHANGE)
        raise ZeroDivisionError
    with database.transaction():
        pass
    assert heard == []


def test_many_changes_are_heard_as_one_of_each_application(database: Database, heard: list[Change]) -> None:
    """So that a bulk load wakes nobody a thousand times."""
    with database.transaction() as connection:
        announce(connection, *(Change("mapping", f"a{number % 2}", f"user:{number}") for number in range(MOST + 1)))
    assert heard == [Change("mapping", "a0"), Change("mapping", "a1")]


def test_postgresql_tells_who_listens(database: Database, open_database: Callable[[], Database]) -> None:
    """Names alone, and each change once."""
    if database.kind != "postgresql":
        pytest.skip("SQLite tells nobody")
    with open_database().engine.connect() as connection:
        listener = connection.connection.dbapi_connection
        assert isinstance(listener, psycopg.Connection)
        listener.execute("LISTEN ssod")
        listener.commit()
        with database.transaction() as writing:
            announce(writing, CHANGE, CHANGE, Change("sso"))
        payloads = [notify.payload for notify in listener.notifies(timeout=5, stop_after=2)]
    assert from_payloads(payloads) == [CHANGE, Change("sso")]
