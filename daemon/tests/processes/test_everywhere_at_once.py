"""What is changed on one server holds on every other within a second: roles, SSO as a whole, and an application."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pki import Authority
from postgres import Postgres
from servers import OWN_GROUP, Fleet, Server
from waiting import wait_for

from ssod.storage.migrations import migrate

AT_ONCE = 1.0
EMPTY = {"application": "app", "context": "c", "plaintext": ""}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, authority: Authority, postgres: Postgres) -> Iterator[tuple[Server, Server]]:
    """The master and a plain server on PostgreSQL: each hears of what the other writes."""
    url = postgres.url()
    migrate(url)
    fleet = Fleet(tmp_path_factory.mktemp("everywhere"), authority, url)
    fleet.add("m1", "s1")
    try:
        fleet.make_ready()
        yield fleet["m1"], fleet["s1"]
    finally:
        fleet.stop()


def answers(server: Server, status: int) -> Callable[[], bool]:
    return lambda: server.call("POST", "/v1/encrypt", EMPTY)[0] == status


def test_sso_is_disabled_and_enabled_everywhere(servers: tuple[Server, Server]) -> None:
    """The other server's health goes on being that of an attached one: it is told why in its status."""
    m1, s1 = servers
    m1.ok("PUT", "/v1/sso", {"enabled": False})
    assert m1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "sso-disabled"
    wait_for(answers(s1, 403), "s1 refuses", AT_ONCE)
    assert s1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "sso-disabled"
    assert s1.ok("GET", "/v1/status")["environment"]["disabled_at"] == s1.ok("GET", "/v1/sso")["disabled_at"]
    s1.ok("PUT", "/v1/sso", {"enabled": True})
    wait_for(answers(m1, 200), "m1 encrypts", AT_ONCE)


def test_an_application_is_disabled_everywhere(servers: tuple[Server, Server]) -> None:
    m1, s1 = servers
    body = {key: m1.ok("GET", "/v1/applications/app")[key] for key in ("users", "fields")}
    m1.ok("PUT", "/v1/applications/app", body | {"enabled": False})
    wait_for(answers(s1, 403), "s1 refuses", AT_ONCE)
    assert s1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "application-disabled"
    m1.ok("PUT", "/v1/applications/app", body | {"enabled": True})
    wait_for(answers(s1, 200), "s1 encrypts", AT_ONCE)


def test_a_role_is_given_and_taken_everywhere(servers: tuple[Server, Server], tmp_path: Path) -> None:
    """And the one who takes it must keep his own: here the file of the server gives it to him."""
    m1, s1 = servers
    auditor = m1.authority.issue(tmp_path, "auditor")
    assert s1.call("GET", "/v1/roles", files=auditor)[0] == 403
    m1.ok("PUT", "/v1/roles/sso_auditor", {"members": ["certificate:auditor"]})
    wait_for(lambda: s1.call("GET", "/v1/roles", files=auditor)[0] == 200, "the auditor reads", AT_ONCE)
    assert s1.call("PUT", "/v1/roles/sso_auditor", {"members": []}, files=auditor)[0] == 403
    m1.ok("PUT", "/v1/roles/sso_auditor", {"members": []})
    wait_for(lambda: s1.call("GET", "/v1/roles", files=auditor)[0] == 403, "the auditor is none", AT_ONCE)
    assert OWN_GROUP in m1.ok("GET", "/v1/roles")["roles"][0]["configured"]


def test_one_whom_the_database_made_an_administrator_cannot_leave(servers: tuple[Server, Server], tmp_path: Path) -> None:
    """Neither by emptying the list nor by naming another; with himself among them he may."""
    m1, _ = servers
    boss = m1.authority.issue(tmp_path, "boss")
    role = "/v1/roles/sso_administrator"
    m1.ok("PUT", role, {"members": ["certificate:boss"]})
    for members in ([], ["user:nobody"]):
        status, document = m1.call("PUT", role, {"members": members}, files=boss)
        assert (status, document["type"]) == (409, "urn:holdfast:problem:would-lock-out")
    assert m1.call("PUT", role, {"members": ["certificate:boss", "user:nobody"]}, files=boss)[0] == 200
    m1.ok("PUT", role, {"members": []})
    assert m1.call("GET", "/v1/roles", files=boss)[0] == 403


def test_where_the_master_is_reached_is_told_to_everybody(servers: tuple[Server, Server]) -> None:
    """An attached server looks by itself every twenty seconds only: it is told, and asks there at once."""
    m1, s1 = servers
    right = {"address": m1.address, "may_become_master": True}
    assert s1.status()["can_encrypt"]
    m1.ok("PUT", "/v1/servers/m1", right | {"address": s1.address})
    wait_for(lambda: not s1.status()["can_encrypt"], "s1 asks elsewhere", AT_ONCE)
    m1.ok("PUT", "/v1/servers/m1", right)
    wait_for(lambda: s1.status()["can_encrypt"], "s1 is attached again", AT_ONCE)
