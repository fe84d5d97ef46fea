"""Real servers tell a real listener, and a real program, of events: each once, however many servers see it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hooked import Listener, listening
from postgres import Postgres
from servers import Fleet, Server
from waiting import wait_for

Make = Callable[..., Fleet]

SCRIPT = """#!/bin/sh
# Whole files only: one that is read while it is written is none.
env >"{root}/env.$$"
cat >"{root}/part.$$"
mv "{root}/part.$$" "{root}/told.$$"
"""


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def hooked(listener: Listener, more: str = "") -> Callable[[Server], None]:
    def prepare(server: Server) -> None:
        lines = f'webhook = "{listener.url}"\nenvironment = "prod"\n{more}\n'
        server.config.write_text(f"{server.config.read_text()}[events]\n{lines}")

    return prepare


def looks(postgres: Postgres) -> int:
    """How often somebody has looked at what was told."""
    question = "SELECT coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0) FROM pg_stat_user_tables WHERE relname = 'told_event'"
    return int(str(postgres.value(question)))


def wait_for_looks(postgres: Postgres, servers: int) -> None:
    """Each of so many servers, which all look equally often, has looked once more at least."""
    before = looks(postgres)
    wait_for(lambda: looks(postgres) >= before + 2 * servers, "all look again", 60)


def metric(server: Server, name: str) -> float:
    _, body = server.exchange("GET", "/metrics")
    return next(float(line.split()[1]) for line in body.decode().splitlines() if line.startswith(f"{name} "))


def test_a_lost_master_is_told_once_by_all_who_see_it_and_its_successor_once(
    fleet: Make, postgres: Postgres, listener: Listener, tmp_path: Path
) -> None:
    """To the webhook and to the program, which gets the same, and nothing of the environment of ssod."""
    program = tmp_path / "program"
    program.write_text(SCRIPT.format(root=tmp_path))
    program.chmod(0o755)
    ready = fleet("m1", "m2", "s1", url=postgres.scratch_url(), prepare=hooked(listener, f'program = "{program}"'))
    m1, m2, s1 = ready.servers
    ciphertext = s1.encrypt(b"value")
    m1.stop(signal.SIGKILL)
    began = time.monotonic()
    firing = listener.wait_for("SsoMasterLost", "firing", 30)
    assert time.monotonic() - began > 10, "a restart, which takes some five seconds, is no event"
    wait_for_looks(postgres, 2)
    assert s1.decrypt(ciphertext) == b"value"

    m2.ok("POST", "/v1/master/activate", {})
    resolved = listener.wait_for("SsoMasterLost", "resolved", 30)
    wait_for(lambda: s1.status()["state"] == "attached", "s1 follows m2")
    wait_for_looks(postgres, 1)
    assert [(each["status"], each["commonLabels"]["alertname"]) for each in listener.messages] == [
        ("firing", "SsoMasterLost"),
        ("resolved", "SsoMasterLost"),
    ]
    assert firing["alerts"][0]["startsAt"] == resolved["alerts"][0]["startsAt"] < resolved["alerts"][0]["endsAt"]
    assert firing["alerts"][0]["fingerprint"] == resolved["alerts"][0]["fingerprint"]
    assert sum(metric(server, "ssod_events_told_total") for server in (m2, s1)) == 4
    assert sum(metric(server, "ssod_events_failed_total") for server in (m2, s1)) == 0

    def by_program() -> list[Any]:
        return [json.loads(each.read_bytes()) for each in tmp_path.glob("told.*")]

    wait_for(lambda: len(by_program()) == 2, "the program was told both")
    assert sorted(by_program(), key=lambda each: each["status"]) == [firing, resolved]
    for given in tmp_path.glob("env.*"):
        names = {line.partition("=")[0] for line in given.read_text().splitlines()}
        assert names <= {"PATH", "LANG", "PWD", "SHLVL", "_", "OLDPWD"}, "a shell adds the last four"
    for secret in (m2.status()["key_id"], ciphertext):
        assert secret.encode() not in b"".join(listener.bodies)


def test_a_listener_that_hangs_disturbs_nobody_and_is_told_once_more(fleet: Make, postgres: Postgres, listener: Listener) -> None:
    """While it keeps its caller waiting, every decryption is answered at once."""
    ready = fleet("m1", "m2", url=postgres.scratch_url(), prepare=hooked(listener, "master_lost_after = 6"))
    m1, m2 = ready.servers
    ciphertext = m1.encrypt(b"value")
    listener.released.clear()
    m1.stop(signal.SIGKILL)
    wait_for(lambda: listener.bodies, "the listener is asked", 30)
    slowest = 0.0
    for _ in range(100):
        began = time.monotonic()
        assert m2.decrypt(ciphertext) == b"value"
        slowest = max(slowest, time.monotonic() - began)
    assert len(listener.bodies) == 1, "all of that while it hung"
    assert slowest < 1.0
    wait_for(lambda: len(listener.bodies) == 2, "it is asked once more", 30)
    listener.released.set()
    wait_for(lambda: metric(m2, "ssod_events_told_total") == 1, "it was told")
    assert listener.bodies[0] == listener.bodies[1]
    assert "no answer within 5 s" in m2.log.read_text()
