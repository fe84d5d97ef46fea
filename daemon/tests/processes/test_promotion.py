"""A master that is killed, frozen, or comes back; a standby that takes its place; servers that go on meanwhile."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

from servers import Fleet, Server
from waiting import wait_for

EMPTY = {"application": "app", "context": "context", "plaintext": ""}


def check_a_standby_that_restarted(m2: Server, ciphertext: str) -> None:
    """It opened its sealed copy: it decrypts, and does not encrypt."""
    assert m2.decrypt(ciphertext) == b"value"
    assert m2.refused("POST", "/v1/encrypt", EMPTY)["type"] == "master-lost"
    assert m2.call("GET", "/v1/health")[0] == 200
    assert m2.status()["sealed_key_id"] == m2.status()["key_id"]


def check_a_plain_server_that_restarted(s1: Server, ciphertext: str) -> None:
    """It keeps nothing on its disk: it has no keyring, and says so."""
    assert not s1.sealed.exists()
    assert s1.status()["key_id"] is None
    body = {"application": "app", "context": "context", "ciphertext": ciphertext}
    refusal = s1.refused("POST", "/v1/decrypt", body)
    assert refusal["type"] == "no-keyring"
    assert "master m1" in refusal["detail"]
    assert s1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "no-keyring"
    status, health = s1.call("GET", "/v1/health")
    assert status == 503
    assert "cannot encrypt or decrypt" in health["sentence"]


def test_a_fleet_lives_through_the_loss_of_its_master(fleet: Callable[..., Fleet]) -> None:
    """Without it all decrypt and none encrypts, restarted or not; a standby is promoted; the old one comes back and follows."""
    ready = fleet("m1", "m2", "s1")
    m1, m2, s1 = ready.servers
    for server in ready.servers:
        assert (server.status()["state"], server.status()["master"]) == ("attached", "m1")
    ciphertext = s1.encrypt(b"value")

    m1.stop(signal.SIGKILL)
    for server in (m2, s1):
        wait_for(lambda server=server: server.status()["state"] == "detached", f"{server.name} is detached")
        assert server.decrypt(ciphertext) == b"value"
        refusal = server.refused("POST", "/v1/encrypt", EMPTY)
        assert refusal["type"] == "master-lost"
        assert refusal["detail"].startswith("master m1 not seen for ")
        assert "promote_master.yml" in refusal["next"]
        assert server.refused("POST", "/v1/selftest", {})["type"] == "master-lost"

    for server in (m2, s1):
        server.stop(signal.SIGKILL)
        server.start(wait=False)
    for server in (m2, s1):
        server.wait_until_it_answers()
    check_a_standby_that_restarted(m2, ciphertext)
    check_a_plain_server_that_restarted(s1, ciphertext)

    answer = m2.ok("POST", "/v1/master/activate", {"expected_epoch": 1})
    assert (answer["changed"], answer["master"], answer["epoch"]) == (True, "m2", 2)
    assert {each["name"]: each["attached"] for each in answer["servers"]} == {"m2": True, "s1": True}
    for server in (m2, s1):
        assert server.decrypt(ciphertext) == b"value"
        assert server.decrypt(server.encrypt(b"new")) == b"new"
        assert (server.status()["master"], server.status()["epoch"]) == ("m2", 2)

    m1.start()
    wait_for(lambda: m1.status()["state"] == "attached", "m1 follows m2")
    status = m1.status()
    assert (status["mastership"], status["master"], status["epoch"]) == ("passive", "m2", 2)
    assert "epoch 2 has begun (master: m2)" in m1.log.read_text()
    assert m1.decrypt(m1.encrypt(b"again")) == b"again"
    assert m1.refused("POST", "/v1/secret/distribute", {})["type"] == "not-master"
    assert [server.stop() for server in ready.servers] == [0, 0, 0]


def test_a_frozen_master_claims_nothing_when_it_wakes_after_another_was_activated(fleet: Callable[..., Fleet]) -> None:
    """Its very first answer after the pause is not that of a master, and it steps down by itself."""
    ready = fleet("m1", "m2")
    m1, m2 = ready.servers
    ciphertext = m1.encrypt(b"value")
    m1.send(signal.SIGSTOP)
    # It returns when m1's confirmation is too old for m1 to act on, should it wake.
    answer = m2.ok("POST", "/v1/master/activate", {})
    assert answer["changed"]
    assert m2.decrypt(ciphertext) == b"value"
    # Written while it sleeps: these are the first things that it reads when it wakes.
    questions = [m1.connection() for _ in range(3)]
    for connection in questions:
        connection.request("GET", "/v1/master")
    assert m2.decrypt(m2.encrypt(b"new")) == b"new"
    m1.send(signal.SIGCONT)
    for connection in questions:
        assert json.loads(connection.getresponse().read())["mastership"] != "active"
        connection.close()
    status, _ = m1.call("GET", "/v1/peer/keyring", files=m2.files)
    assert status in (409, 503)
    status = m1.status()
    assert (status["mastership"], status["master"], status["epoch"]) == ("passive", "m2", 2)
    wait_for(lambda: "It has stepped down" in m1.log.read_text(), "m1 says that it has stepped down")
    wait_for(lambda: m1.status()["can_encrypt"], "m1 follows m2")
