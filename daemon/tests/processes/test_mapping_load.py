"""`ssoctl mapping load` into a real ssod: a file that goes wrong in the middle, an interruption, and what is there in the end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from servers import OWN_GROUP, Fleet, Server
from waiting import wait_for

COUNT = 4500
MAPPINGS = "/v1/applications/people/mappings"


@pytest.fixture
def m1(fleet: Callable[..., Fleet]) -> Server:
    server = fleet("m1")["m1"]
    fields = [{"name": "password", "masked": True}]
    body = {"type": "individual", "enabled": True, "users": [OWN_GROUP], "fields": fields}
    server.ok("PUT", "/v1/applications/people", body)
    return server


def write(file: Path, broken: int | None = None) -> Path:
    """A mapping a line; number `broken` takes the account of another."""
    lines = ["principal,external_id,password"]
    lines += [f"user:u{n:05},A{0 if n == broken else n},secret-{n}" for n in range(COUNT)]
    file.write_text("\n".join([*lines, ""]))
    file.chmod(0o600)
    return file


def command(server: Server, file: Path) -> list[str]:
    return [sys.executable, "-m", "ssod.cli", "--socket", server.socket, "mapping", "load", "people", str(file)]


def load(server: Server, file: Path) -> tuple[int, str, str]:
    done = subprocess.run(command(server, file), capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


def stored(server: Server) -> list[Any]:
    found: list[Any] = []
    after = ""
    while after is not None:
        page = server.ok("GET", f"{MAPPINGS}?after={after}")
        found += page["mappings"]
        after = page["next"]
    return found


def test_a_load_that_goes_wrong_in_the_middle_is_mended_and_goes_on(m1: Server, tmp_path: Path) -> None:
    """Whole batches before the bad line are there, nothing of its own; the second run loads the rest."""
    file = write(tmp_path / "people.csv", broken=2345)
    code, _, told = load(m1, file)
    assert code == 1
    assert f"{file}:2347: user:u02345: A0 is the account of user:u00000" in told
    assert "the 2000 mappings before it are loaded" in told
    assert len(stored(m1)) == 2000
    code, out, _ = load(m1, write(file))
    assert code == 0
    assert "2500 created, 0 changed, 0 unchanged, 2000 were loaded before" in out
    found = stored(m1)
    assert [each["external_id"] for each in found] == [f"A{n}" for n in range(COUNT)]
    assert all(each["enabled"] and each["fields"] == ["password"] for each in found)
    assert "0 created, 0 changed, 4500 unchanged" in load(m1, file)[1]
    assert "secret-" not in m1.log.read_text() + m1.audit.read_text() + told


def test_a_load_that_is_interrupted_says_how_far_it_came_and_goes_on(m1: Server, tmp_path: Path) -> None:
    """After Ctrl-C whole batches are there; the same command loads the others."""
    file = write(tmp_path / "people.csv")
    progress = tmp_path / "people.csv.progress"
    process = subprocess.Popen(command(m1, file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(progress.exists, "the first batch is loaded", 60)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    if process.returncode == 0:  # it was quicker than the signal
        assert len(stored(m1)) == COUNT
        return
    assert process.returncode == 130
    assert "mappings of" in told and "are loaded" in told
    assert len(stored(m1)) in {1000, 2000, 3000, 4000, COUNT}  # the batch under way was perhaps loaded
    assert load(m1, file)[0] == 0
    assert len(stored(m1)) == COUNT
    assert not progress.exists()
