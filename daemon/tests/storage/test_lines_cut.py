"""Connections are ended by one thread while others make theirs: after the database has moved, both happen at the same moment."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
from postgres import Postgres

from ssod.storage.engine import connect
from ssod.storage.lines import LineLost, PostgresLine
from ssod.storage.repository import Database

# So many that to walk through them takes a while, of the hundred that PostgreSQL allows; and so many are made beside them.
ALIVE, MADE = 60, 40


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    made = Database(connect(postgres.scratch_url()))
    yield made
    made.dispose()
    sys.setswitchinterval(interval)


@pytest.fixture
def lines(database: Database) -> Iterator[list[PostgresLine]]:
    """Each is a connection of its own."""
    made = [PostgresLine(database) for _ in range(ALIVE)]
    yield made
    for line in made:
        line.close()


def test_connections_are_made_while_others_are_ended(database: Database, lines: list[PostgresLine]) -> None:
    """Neither of the two fails, and just those are ended that were made before."""
    failed: list[Exception] = []

    def make() -> None:
        try:
            for _ in range(MADE):
                PostgresLine(database).close()
        except Exception as error:
            failed.append(error)

    before = time.monotonic()
    maker = threading.Thread(target=make)
    maker.start()
    try:
        while maker.is_alive():
            database.cut(0.0)  # none is so old; each is looked at
    finally:
        maker.join()
    assert failed == []
    database.cut(before)
    for line in lines:
        with pytest.raises(LineLost):
            line.hear()
