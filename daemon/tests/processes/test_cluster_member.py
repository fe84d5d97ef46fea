"""A cluster manages the mastership: what a master does when it is given its mandate, restarts, and has it taken away."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from postgres import Postgres
from servers import Fleet, Server
from waiting import wait_for

EMPTY = {"application": "app", "context": "context", "plaintext": ""}
ADDED = """[master]
managed_by = "cluster"
mandate_file = "{}"
"""


def mandate(server: Server) -> Path:
    return server.root / "mandate"


def manage(server: Server) -> None:
    """From now on a cluster manages who is master: a reload puts that into force. It is given the mandate if it is the master."""
    if server.status()["mastership"] == "active":
        mandate(server).touch()
    server.config.write_text(server.config.read_text().replace("[master]\n", ADDED.format(mandate(server))))
    server.send(signal.SIGHUP)
    wait_for(lambda: server.status()["managed_by"] == "cluster", "the cluster manages it")


def fitness(server: Server) -> Any:
    return server.ok("GET", "/v1/master/fitness")


def seconds(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


@contextmanager
def stopped(postgres: Postgres) -> Iterator[None]:
    postgres.stop()
    try:
        yield
    finally:
        postgres.start()


@pytest.fixture
def members(fleet: Callable[..., Fleet], postgres: Postgres) -> tuple[Server, Server, Server]:
    """m1, the master; m2, which may become it; s1, a plain server."""
    made = fleet("m1", "m2", "s1", url=postgres.url())
    for server in made.servers[:2]:
        manage(server)
    m1, m2, s1 = made.servers
    assert m1.status()["mastership"] == "active"
    return m1, m2, s1


def test_a_member_is_activated_with_a_mandate_and_not_without(members: tuple[Server, Server, Server]) -> None:
    """The refusal says who manages the mastership, in a dry run too; with the mandate the next one begins at once."""
    m1, m2, s1 = members
    for dry_run in (True, False):
        refusal = m2.refused("POST", "/v1/master/activate", {"dry_run": dry_run})
        assert refusal["type"] == "activation-refused"
        assert any("managed by the cluster" in condition for condition in refusal["conditions"])
        assert "promote_master.yml" in refusal["next"]
    assert fitness(m2) == {"mastership": "passive", "mandate": False, "score": 100, "reason": ""}
    assert fitness(m1) == {"mastership": "active", "mandate": True, "score": 100, "reason": ""}
    assert fitness(s1)["score"] == 0

    # As the cluster moves the role: away from the one, which says so, and then to the other.
    mandate(m1).unlink()
    answer = m1.ok("POST", "/v1/master/deactivate", {})
    assert (answer["changed"], answer["recorded"]) == (True, True)
    mandate(m2).touch()
    assert seconds(lambda: m2.ok("POST", "/v1/master/activate", {})) < 2
    assert fitness(m2)["mastership"] == "active"
    wait_for(lambda: s1.call("POST", "/v1/encrypt", EMPTY)[0] == 200, "s1 encrypts", 2)


def test_a_master_without_its_mandate_steps_down_and_nobody_waits_for_it(members: tuple[Server, Server, Server]) -> None:
    """Without being told; the next act as the master is refused at once, and another server begins without a wait."""
    m1, m2, s1 = members
    ciphertext = m1.encrypt(b"value")
    mandate(m1).unlink()
    assert m1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "master-lost"
    assert m1.refused("POST", "/v1/secret/distribute", {})["type"] == "not-master"
    assert m1.call("GET", "/v1/peer/keyring", files=s1.files)[0] == 409
    assert m1.decrypt(ciphertext) == b"value"
    wait_for(lambda: s1.status()["state"] == "detached", "s1 was let go", 1)
    # Given back, while the database names it still: it goes on.
    mandate(m1).touch()
    wait_for(lambda: s1.call("POST", "/v1/encrypt", EMPTY)[0] == 200, "m1 has resumed", 2)
    mandate(m1).unlink()
    wait_for(lambda: "was withdrawn" in m1.status()["sentence"] or "has not given" in m1.status()["sentence"], "m1 knows", 1)
    mandate(m2).touch()
    assert seconds(lambda: m2.ok("POST", "/v1/master/activate", {})) < 2
    assert m2.status()["epoch"] == 2
    wait_for(lambda: m1.call("POST", "/v1/encrypt", EMPTY)[0] == 200, "m1 follows m2", 2)


def test_a_master_that_was_killed_resumes_with_its_mandate_and_not_without(members: tuple[Server, Server, Server]) -> None:
    """It is the same mandate, over the life of the process; without it the database's word is not enough."""
    m1, _, s1 = members
    m1.stop(signal.SIGKILL)
    m1.start()
    wait_for(lambda: m1.status()["mastership"] == "active", "m1 has resumed", 2)
    wait_for(lambda: s1.call("POST", "/v1/encrypt", EMPTY)[0] == 200, "s1 encrypts", 2)
    m1.stop(signal.SIGKILL)
    mandate(m1).unlink()
    m1.start()
    assert m1.status()["master"] == "m1"
    assert m1.status()["mastership"] == "passive"
    assert "has not given" in m1.status()["sentence"]
    mandate(m1).touch()
    assert m1.ok("POST", "/v1/master/activate", {})["changed"] is False  # it has never ceased to be the one that is named
    assert m1.status()["mastership"] == "active"


def test_a_master_leaves_without_its_database(members: tuple[Server, Server, Server], postgres: Postgres) -> None:
    """It acts no more, and says that the database does not know; a database that never answers delays it little."""
    m1, m2, _ = members
    with stopped(postgres):
        mandate(m1).unlink()
        answer = m1.ok("POST", "/v1/master/deactivate", {})
        assert (answer["changed"], answer["recorded"]) == (True, False)
        assert fitness(m1)["mastership"] == "passive"
        assert m1.call("GET", "/v1/peer/keyring", files=m2.files)[0] == 409
        wait_for(lambda: fitness(m2)["score"] == 10, "m2 does not find the database", 2)
    for server in (m1, m2):
        wait_for(lambda server=server: fitness(server)["score"] == 100, f"{server.name} finds the database")
    mandate(m2).touch()
    assert seconds(lambda: m2.ok("POST", "/v1/master/activate", {})) < 2

    postgres.freeze()
    try:
        mandate(m2).unlink()
        assert seconds(lambda: m2.ok("POST", "/v1/master/deactivate", {})) < 3
        assert seconds(lambda: fitness(m2)) < 1.5
        assert fitness(m2)["mastership"] == "passive"
    finally:
        postgres.thaw()
