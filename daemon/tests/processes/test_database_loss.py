"""The SSO database is stopped: what is known goes on, the rest is one clear error, and its return needs no restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from postgres import Postgres
from servers import Fleet, Server
from waiting import wait_for

EMPTY = {"application": "app", "context": "context", "plaintext": ""}

# What needs the database, and is refused without it.
NEEDING: list[tuple[str, str, Any]] = [
    ("GET", "/v1/applications", None),
    ("GET", "/v1/applications/app", None),
    ("PUT", "/v1/applications/new", {}),
    ("GET", "/v1/applications/app/config", None),
    ("GET", "/v1/applications/app/config/unread", None),
    ("PUT", "/v1/applications/app/config/read", {"properties": {"host": "new"}}),
    ("DELETE", "/v1/applications/app/config/read", None),
    ("GET", "/v1/applications/app/mappings", None),
    ("GET", "/v1/secret", None),
    ("GET", "/v1/servers", None),
    ("PUT", "/v1/servers/s9", {"address": "h:1"}),
    ("DELETE", "/v1/servers/s1", None),
    ("POST", "/v1/master/deactivate", {}),
]


@pytest.fixture(scope="module")
def ready(shared_fleet: Callable[..., Fleet], postgres: Postgres) -> Fleet:
    """m1 and s1; s1 has read the configuration `read`, and not `unread`."""
    made = shared_fleet("m1", "s1", url=postgres.url())
    for name in ("read", "unread"):
        made["m1"].ok("PUT", f"/v1/applications/app/config/{name}", {"properties": {"host": name, "password": "p"}})
    for server in made.servers:
        server.ok("GET", "/v1/applications/app/config/read")
    return made


def unreachable(server: Server) -> Any:
    """The status, once it says that the database cannot be reached."""
    status = server.ok("GET", "/v1/status")
    return None if status["database"]["reachable"] else status


def check_what_goes_on(server: Server, ciphertext: str) -> None:
    assert server.decrypt(ciphertext) == b"value"
    assert server.call("GET", "/v1/health")[0] == 200
    for query, properties in (("", {"host": "read"}), ("?reveal=true", {"host": "read", "password": "p"})):
        found = server.ok("GET", f"/v1/applications/app/config/read{query}")
        assert found["properties"] == properties
        assert found["cached_at"] is not None
    status = wait_for(lambda: unreachable(server), "the status says that the database cannot be reached")
    assert status["environment"] is None
    assert status["servers"] is None


def test_what_is_known_goes_on_and_the_rest_is_refused_until_the_database_is_back(ready: Fleet, postgres: Postgres) -> None:
    """Decryption and what was read before: served. New: refused at once, and encryption when the master is in doubt."""
    m1, s1 = ready.servers
    ciphertext = s1.encrypt(b"value")
    postgres.stop()
    try:
        for server in (m1, s1):
            check_what_goes_on(server, ciphertext)
            for method, path, body in NEEDING:
                refusal = server.refused(method, path, body)
                assert (refusal["type"], refusal["status"]) == ("database-unavailable", 503), path
        refusal = m1.refused("POST", "/v1/master/activate", {})
        assert any("the SSO database cannot be reached" in each for each in refusal["conditions"])
        wait_for(lambda: m1.call("POST", "/v1/encrypt", EMPTY)[0] == 503, "m1 is in doubt")
        assert m1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "mastership-unconfirmed"
        assert m1.status()["mastership"] == "unconfirmed"
        for path in ("/v1/secret/generate", "/v1/secret/distribute"):
            assert m1.refused("POST", path, {})["type"] == "mastership-unconfirmed"
        wait_for(lambda: s1.call("POST", "/v1/encrypt", EMPTY)[0] == 503, "s1 has lost its master")
        refusal = s1.refused("POST", "/v1/encrypt", EMPTY)
        assert refusal["type"] == "master-lost"
        assert "cannot confirm" in refusal["detail"]
        for server in (m1, s1):
            check_what_goes_on(server, ciphertext)
    finally:
        postgres.start()
    for server in (m1, s1):
        wait_for(lambda server=server: server.call("POST", "/v1/encrypt", EMPTY)[0] == 200, f"{server.name} encrypts again", 5)
    assert m1.status()["mastership"] == "active"
    assert s1.ok("GET", "/v1/applications/app/config/read")["cached_at"] is None
    assert s1.ok("GET", "/v1/applications/app/config/unread")["properties"] == {"host": "unread"}
    for server in (m1, s1):
        assert "event='started'" in server.log.read_text()
        assert server.log.read_text().count("event='started'") == 1


def test_a_start_without_the_database_keeps_the_keyring_and_waits(ready: Fleet, postgres: Postgres) -> None:
    """A master that restarts in the outage opens its sealed copy, and acts as master when the database says so again."""
    m1, s1 = ready.servers
    ciphertext = m1.encrypt(b"value")
    body = {"application": "app", "context": "context", "ciphertext": ciphertext}
    m1.stop()
    postgres.stop()
    try:
        m1.start()
        assert m1.call("GET", "/v1/health")[0] == 200
        assert m1.status()["mastership"] == "passive"
        # Who may use the application is in the database: without ever having read it, nobody is let in.
        assert m1.refused("POST", "/v1/decrypt", body)["type"] == "database-unavailable"
    finally:
        postgres.start()
    wait_for(lambda: m1.status()["mastership"] == "active", "m1 is the master again")
    assert m1.decrypt(ciphertext) == b"value"
    # A request that finds its server detached asks the master once: service returns with it, and not at the next minute.
    wait_for(lambda: s1.call("POST", "/v1/encrypt", EMPTY)[0] == 200, "s1 encrypts again", 2.0)
