"""A real browser in front of real servers: Debian's Chromium, ssod processes, a PostgreSQL of the tests' own.

With HOLDFAST_SCREENSHOTS=DIRECTORY the tests leave the pictures of docs/status-page.md there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from edge import Files
from looking import View
from paged import Make, PagedFleet, all_have_reported
from pki import Authority
from playwright.sync_api import Browser, sync_playwright
from postgres import Postgres, running_postgres
from servers import Fleet
from waiting import wait_for

from ssod.storage.migrations import migrate


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """For one file only: while it runs, its event loop is this thread's, and others' tests have their own."""
    found = shutil.which("chromium")
    assert found is not None, "no Chromium is installed: apt-get install chromium"
    arguments = ["--no-sandbox"] if os.getuid() == 0 else []  # it refuses to put root into its sandbox; it sees this page only
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., View]]:
    """Opens a page in a browser of its own; fails the test if it complained in the console, or asked anybody else."""
    views: list[View] = []

    def opened(url: str, **options: Any) -> View:
        views.append(View(browser, url, options))
        return views[-1]

    yield opened
    for view in views:
        view.close()


@contextmanager
def _fleets(directory: Callable[[], Path], authority: Authority, postgres: Postgres) -> Iterator[Make]:
    def ready(*names: str, on: Postgres = postgres, **options: Any) -> Fleet:
        url = on.url()
        migrate(url)
        fleet = PagedFleet(directory(), authority, url)
        stack.callback(fleet.stop)
        fleet.add(*names, **options)
        fleet.make_ready()
        return fleet

    with ExitStack() as stack:
        yield ready


@pytest.fixture
def fleet(tmp_path: Path, authority: Authority, postgres: Postgres) -> Iterator[Make]:
    """Starts servers of these names, ready to encrypt."""
    with _fleets(lambda: tmp_path, authority, postgres) as make:
        yield make


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, authority: Authority, postgres: Postgres) -> Iterator[Fleet]:
    """m1, m2 and s1, which each test leaves as it found them."""
    with _fleets(lambda: tmp_path_factory.mktemp("page"), authority, postgres) as make:
        fleet = make("m1", "m2", "s1", administrators=["certificate:admin"])
        wait_for(partial(all_have_reported, fleet["s1"]), "all have reported")
        yield fleet


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that a test may stop."""
    with running_postgres() as cluster:
        yield cluster


@pytest.fixture
def issued(tmp_path: Path, authority: Authority) -> Callable[..., Files]:
    """A certificate of the environment's CA for a name."""
    return lambda name: authority.issue(tmp_path, name)
