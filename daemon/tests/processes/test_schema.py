"""Real servers on a database of another version: they work on one that tolerates them, and end on any other, saying what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pki import Authority
from servers import Fleet, Server
from sqlalchemy import text
from waiting import wait_for

from ssod import __version__
from ssod.storage.engine import connect
from ssod.storage.migrations import upgrade
from ssod.storage.schema import REVISION

Make = Callable[..., Fleet]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres").url())
    return f"sqlite:///{tmp_path}/sso.db"


def told(url: str, revision: str, oldest: str) -> None:
    """A newer ssod, 99.1, has migrated it; one column more is there, of which this version knows nothing."""
    engine = connect(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE environment ADD COLUMN of_a_newer_version VARCHAR(20)"))
            connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})
            connection.execute(text("UPDATE tolerance SET oldest = :oldest, version = '99.1'"), {"oldest": oldest})
    finally:
        engine.dispose()


def started(server: Server) -> None:
    server.stop()
    server.start()
    wait_for(lambda: server.status()["can_encrypt"], f"{server.name} can encrypt")


def test_servers_go_on_and_start_on_a_newer_schema_that_tolerates_them(fleet: Make, empty_url: str) -> None:
    """What was encrypted before opens, master and standby restart, and what they encrypt opens on the other."""
    servers = fleet("m1", "s1", url=empty_url)
    m1, s1 = servers["m1"], servers["s1"]
    before = m1.encrypt(b"before")
    told(empty_url, "9999", REVISION)
    assert s1.decrypt(m1.encrypt(b"while they run")) == b"while they run"
    started(s1)
    assert s1.decrypt(before) == b"before"
    started(m1)
    wait_for(lambda: s1.status()["can_encrypt"], "s1 has its master again")
    assert m1.decrypt(s1.encrypt(b"after")) == b"after"


def ends(server: Server) -> str:
    """The words with which a server ends that is just being started."""
    assert server.process is not None
    assert server.process.wait(20) == 2
    server.process = None
    return server.log.read_text()


def test_a_newer_schema_that_does_not_tolerate_it_ends_the_start(fleet: Make, empty_url: str) -> None:
    """Both versions are named, and what to install."""
    m1 = fleet("m1", url=empty_url)["m1"]
    m1.stop()
    told(empty_url, "9999", "9998")
    m1.start(wait=False)
    words = ends(m1)
    assert "by ssod 99.1" in words
    assert f"this is ssod {__version__}" in words
    assert "install ssod 99.1" in words
    assert not Path(m1.socket).exists()


def test_a_database_that_was_away_at_the_start_is_asked_when_it_is_back(fleet: Make, tmp_path: Path) -> None:
    """Without it a server starts, for what it has cached; when it turns out to be none for it, the server ends."""
    url = f"sqlite:///{tmp_path}/sso.db"
    m1 = fleet("m1", url=url)["m1"]
    m1.stop()
    told(url, "9999", "9998")
    there, away = tmp_path / "sso.db", tmp_path / "away.db"
    there.rename(away)
    there.mkdir()
    m1.start()
    there.rmdir()
    away.rename(there)
    assert "install ssod 99.1" in ends(m1)


@pytest.fixture
def strangers(tmp_path: Path, authority: Authority, empty_url: str) -> Iterator[list[Server]]:
    """Three servers of an environment that is just being made; nothing is in the database."""
    servers = [Server(tmp_path, authority, name, empty_url) for name in ("m1", "m2", "m3")]
    yield servers
    for server in servers:
        server.stop()


@pytest.mark.parametrize("before", [None, f"{int(REVISION) - 1:04}"])
def test_an_older_schema_is_migrated_once_by_servers_that_start_at_once(
    strangers: list[Server], empty_url: str, before: str | None
) -> None:
    """Each runs `ssoctl database migrate` before it starts, as a role does; one of them changes it, and all start."""
    if before is not None:
        engine = connect(empty_url)
        try:
            upgrade(engine, before)
        finally:
            engine.dispose()
    command = [sys.executable, "-m", "ssod.cli", "database", "migrate", "--config"]
    running = [
        subprocess.Popen([*command, str(server.config)], stdout=subprocess.PIPE, text=True, env=os.environ) for server in strangers
    ]
    words = []
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        words.append(out.split()[-1])
    assert sorted(words) == ["changed", "unchanged", "unchanged"]
    for server in strangers:
        server.start(wait=False)
    for server in strangers:
        server.wait_until_it_answers()
