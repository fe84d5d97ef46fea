"""Fleets of real ssod processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pki import Authority
from servers import Fleet

from ssod.storage.migrations import migrate


@pytest.fixture
def fleet(tmp_path: Path, authority: Authority) -> Iterator[Callable[..., Fleet]]:
    """Starts servers of these names, ready to encrypt; on SQLite, or on the database of a URL."""
    with ExitStack() as stack:

        def ready(*names: str, url: str | None = None) -> Fleet:
            url = url or f"sqlite:///{tmp_path}/sso.db"
            migrate(url)
            made = Fleet(tmp_path, authority, url)
            stack.callback(made.stop)
            made.add(*names)
            made.make_ready()
            return made

        yield ready
