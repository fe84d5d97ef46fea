"""Fleets of real ssod processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pki import Authority
from servers import Fleet, Server

from ssod.storage.migrations import migrate

Make = Callable[..., Fleet]


@contextmanager
def fleets(directory: Callable[[], Path], authority: Authority) -> Iterator[Make]:
    def ready(*names: str, url: str | None = None, prepare: Callable[[Server], None] | None = None) -> Fleet:
        root = directory()
        url = url or f"sqlite:///{root}/sso.db"
        migrate(url)
        fleet = Fleet(root, authority, url)
        stack.callback(fleet.stop)
        fleet.add(*names)
        for server in fleet.servers if prepare is not None else []:
            prepare(server)
        fleet.make_ready()
        return fleet

    with ExitStack() as stack:
        yield ready


@pytest.fixture
def fleet(tmp_path: Path, authority: Authority) -> Iterator[Make]:
    """Starts servers of these names, ready to encrypt; on SQLite, or on the database of a URL. `prepare` changes each before."""
    with fleets(lambda: tmp_path, authority) as make:
        yield make


@pytest.fixture(scope="module")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Make]:
    """As `fleet`, for all tests of a file: each leaves the servers as it found them."""
    with fleets(lambda: tmp_path_factory.mktemp("fleet"), authority) as make:
        yield make
