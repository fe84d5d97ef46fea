"""A real ssod gives a unit its credential, and nobody else's; also while the database and the master are lost."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edge import CANARY
from postgres import Postgres
from servers import Fleet, Server
from units import ask, hierarchy
from waiting import wait_for

pytestmark = pytest.mark.skipif(os.getuid() != 0 or hierarchy() is None, reason="only root can stand in for systemd")

HERE = "/v1/applications/app/unit-credentials"
GRANT = {"config": "in", "field": "password"}


@pytest.fixture(scope="module")
def ready(shared_fleet: Callable[..., Fleet], postgres: Postgres) -> Fleet:
    """m1 and s1, with a configuration of which one value is granted to job.service and to the template many@.service."""
    made = shared_fleet("m1", "s1", url=postgres.url())
    m1 = made["m1"]
    m1.ok("PUT", "/v1/applications/app/config/in", {"properties": {"host": "h", "password": CANARY}})
    for unit in ("job.service", "many@.service"):
        m1.ok("PUT", f"{HERE}/{unit}/password", GRANT)
    return made


@pytest.fixture
def s1(ready: Fleet) -> Server:
    return ready["s1"]


@pytest.fixture
def told(s1: Server) -> Iterator[Callable[[], str]]:
    """What s1 has said since the test began."""
    began = s1.log.stat().st_size
    yield lambda: s1.log.read_text()[began:]


def load(server: Server, unit: str, credential: str = "password", **how: Any) -> bytes | None:
    return ask(server.credentials_socket, unit, credential, **how)


@pytest.mark.parametrize("unit", ["job.service", "many@one.service", "many@.service"])
def test_a_unit_is_given_the_value_and_nothing_besides(s1: Server, unit: str) -> None:
    """Of an instance of a template too. Audited, as the unit's act, and without the value."""
    assert load(s1, unit) == CANARY.encode()
    line = json.loads(s1.audit.read_text().splitlines()[-1])
    assert (line["caller"], line["act"], line["subject"]) == (f"unit:{unit}", "load unit credential", "app/in/password")
    assert line["key_id"]
    assert CANARY not in s1.audit.read_text() + s1.log.read_text()


@pytest.mark.parametrize(
    ("unit", "credential", "how", "reason"),
    [
        ("job.service", "other", {}, "unit job.service is given no credential other"),
        ("stranger.service", "password", {}, "unit stranger.service is given no credential password"),
        (
            "job.service",
            "password",
            {"inside": "stranger.service"},
            "unit:stranger.service asked for credential password of job.service",
        ),
        ("job.service", "password", {"address": "@nothing"}, "not how systemd asks"),
        ("job.service", "password", {"address": "@1/user/job.service/password"}, "not how systemd asks"),
    ],
)
def test_whoever_has_no_grant_does_not_start(
    s1: Server, told: Callable[[], str], unit: str, credential: str, how: dict[str, str], reason: str
) -> None:
    """systemd is sent more than it takes for a credential, so no unit starts with an empty one; the journal says why."""
    assert load(s1, unit, credential, **how) is None
    assert reason in told()
    assert CANARY not in told()
    line = json.loads(s1.audit.read_text().splitlines()[-1])
    if "address" not in how:
        assert (line["caller"], line["outcome"]) == (f"unit:{how.get('inside', unit)}", "forbidden")
        assert credential in line["subject"]


def test_the_journal_says_what_to_run(s1: Server, told: Callable[[], str]) -> None:
    """For a unit without a grant: the command that gives it one."""
    assert load(s1, "new.service", "key") is None
    assert "ssoctl unit-credential set APP new.service key NAME FIELD" in told()


def test_who_is_not_root_cannot_even_connect(s1: Server) -> None:
    """And where the directory's rights would let him, the kernel's word on who he is does not."""
    with pytest.raises(Exception, match="returned non-zero"):
        load(s1, "job.service", uid=65534)
    Path(s1.credentials_socket).chmod(0o666)
    try:
        assert load(s1, "job.service", uid=65534) is None
    finally:
        Path(s1.credentials_socket).chmod(0o600)


def test_what_stands_in_the_way_of_the_value_is_a_refusal(ready: Fleet, told: Callable[[], str]) -> None:
    """A disabled application, and a configuration that has no such value yet."""
    m1, s1 = ready.servers
    m1.ok("PUT", f"{HERE}/early.service/password", {"config": "later", "field": "password"})
    assert load(s1, "early.service") is None
    assert "app has no configuration 'later'" in told()
    m1.ok("PUT", "/v1/applications/app/config/later", {"properties": {"password": ""}})
    assert load(s1, "early.service") == b""
    m1.ok("PUT", "/v1/applications/app/config/later", {"properties": {"host": "h"}})
    assert load(s1, "early.service") is None
    assert "configuration app/later has no value for password" in told()
    m1.ok("DELETE", f"{HERE}/early.service/password")


def test_a_grant_that_is_taken_away_ends_at_once(ready: Fleet) -> None:
    """At every server, whatever it has given before."""
    m1, s1 = ready.servers
    m1.ok("PUT", f"{HERE}/short.service/password", GRANT)
    assert load(s1, "short.service") == CANARY.encode()
    m1.ok("DELETE", f"{HERE}/short.service/password")
    assert load(s1, "short.service") is None


def test_a_unit_starts_again_while_master_and_database_are_lost(ready: Fleet, postgres: Postgres) -> None:
    """What this server has given before it goes on giving."""
    m1, s1 = ready.servers
    assert load(s1, "job.service") == CANARY.encode()
    m1.stop()
    postgres.stop()
    try:
        assert load(s1, "job.service") == CANARY.encode()
        wait_for(lambda: not s1.ok("GET", "/v1/status")["database"]["reachable"], "s1 knows that the database is lost")
        began = time.monotonic()
        assert load(s1, "job.service") == CANARY.encode()
        assert time.monotonic() - began < 2
        assert load(s1, "never.service") is None
    finally:
        postgres.start()
        m1.start()
        wait_for(lambda: s1.status()["can_encrypt"], "s1 is attached again")


class TestTheGrantsThemselves:
    """Over the API."""

    def test_they_are_listed_shown_tried_and_deleted(self, ready: Fleet) -> None:
        """Names, never a value."""
        m1 = ready["m1"]
        grant = {"unit": "api.service", "credential": "key", "application": "app"} | GRANT
        path = f"{HERE}/api.service/key"
        assert m1.ok("PUT", f"{path}?dry_run=true", GRANT) == grant | {"changed": True}
        assert m1.refused("GET", path)["type"] == "unit-credential-not-found"
        assert m1.ok("PUT", path, GRANT) == grant | {"changed": True}
        assert m1.ok("PUT", path, GRANT) == grant | {"changed": False}
        assert m1.ok("GET", path) == grant
        assert grant in m1.ok("GET", HERE)["unit_credentials"]
        assert m1.ok("DELETE", f"{path}?dry_run=true") == grant
        assert m1.ok("DELETE", path) == grant
        assert m1.refused("DELETE", path)["type"] == "unit-credential-not-found"

    @pytest.mark.parametrize(
        ("unit", "credential", "field", "reason"),
        [
            ("job", "key", "password", "starts processes"),
            ("job.timer", "key", "password", "starts processes"),
            ("a%2Fb.service", "key", "password", "starts processes"),
            ("job.service", "a:b", "password", "credential"),
            ("job.service", "..", "password", "credential"),
            ("j" * 70 + ".service", "password", "password", "86 characters together"),
            ("job.service", "key", "nothing", "no field nothing"),
        ],
    )
    def test_what_systemd_could_not_ask_for_is_refused(
        self, ready: Fleet, unit: str, credential: str, field: str, reason: str
    ) -> None:
        """Before it is stored, with the reason."""
        refusal = ready["m1"].refused("PUT", f"{HERE}/{unit}/{credential}", {"config": "in", "field": field})
        assert refusal["type"] == "invalid-value"
        assert reason in refusal["detail"]
