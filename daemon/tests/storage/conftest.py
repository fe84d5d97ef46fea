"""Each storage test runs on both engines, in an empty database of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ssod.storage.engine import connect
from ssod.storage.migrations import migrate
from ssod.storage.repository import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database without a table."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").scratch_url())
    return f"sqlite:///{tmp_path}/sso.db"


@pytest.fixture
def url(empty_url: str) -> str:
    migrate(empty_url)
    return empty_url


@pytest.fixture
def open_database(url: str) -> Iterator[Callable[[], Database]]:
    """Opens the database once more: as another server does."""
    with ExitStack() as stack:

        def another() -> Database:
            database = Database(connect(url))
            stack.callback(database.dispose)
            return database

        yield another


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    return open_database()
