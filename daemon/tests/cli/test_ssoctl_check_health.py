"""`ssoctl check-health` ends as monitoring plugins do, and says in one line what is wrong and what to do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fake_ssod import FakeSsod, problem
from ssoctl_harness import KEY, OLD_KEY, Ssoctl, server_document, status_document

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def backed_up(**server: Any) -> dict[str, Any]:
    document = status_document(**{"certificate": {"days_left": 300, "revoked": False}, **server})
    document["environment"]["backup_verified_at"] = NOW
    document["servers"] = [server_document(name, last_seen=NOW, key_id=KEY, sealed_key_id=KEY) for name in ("s1", "s2")]
    return document


def of_environment(**changed: Any) -> dict[str, Any]:
    document = backed_up(mastership="active", name="s1")
    return document | changed


def silent_standby() -> list[dict[str, Any]]:
    return [server_document("s1", last_seen=NOW), server_document("s2", last_seen="2026-01-01T00:00:00Z", may_become_master=True)]


def stranger() -> list[dict[str, Any]]:
    return [server_document("s1", last_seen=NOW), server_document("s2", last_seen=NOW, key_id=OLD_KEY)]


@pytest.mark.parametrize(
    ("document", "code", "says"),
    [
        (backed_up(), 0, "SSO OK - attached: master m1, epoch 3"),
        (backed_up(state="detached", can_encrypt=False, sentence="detached: m1 lost"), 2, "SSO CRITICAL - detached: m1 lost"),
        (backed_up(state="detached", sentence="detached, encrypting"), 1, "SSO WARNING - detached, encrypting"),
        (backed_up(can_decrypt=False, can_encrypt=False, sentence="no keyring"), 2, "SSO CRITICAL - no keyring"),
        (backed_up(certificate={"days_left": 20, "revoked": False}), 1, "20 days left: run renew_certificates.yml"),
        (backed_up(certificate={"days_left": -1, "revoked": False}), 2, "-1 days left"),
        (backed_up(certificate={"days_left": 300, "revoked": True}), 2, "is revoked"),
        (backed_up(unfit=["its sealed copy is stale"]), 1, "not fit to become the master: its sealed copy is stale"),
        (backed_up() | {"database": {"reachable": False, "kind": "postgresql", "detail": "gone"}}, 1, "cannot be reached: gone"),
        (status_document() | {"environment": {"id": "x", "current_key_id": KEY}}, 2, "has no verified backup"),
        (of_environment(servers=silent_standby()), 1, "not heard of: s2; no standby could be promoted"),
        (of_environment(servers=stranger()), 1, "another key id on s2"),
    ],
)
def test_the_exit_code_is_that_of_monitoring_plugins(
    fake: FakeSsod, ssoctl: Ssoctl, document: dict[str, Any], code: int, says: str
) -> None:
    fake.answers["GET /v1/status"] = document
    finished = ssoctl("check-health")
    assert (finished.code, says in finished.out) == (code, True), finished.out
    assert finished.out.count("\n") == 1
    assert " | attached=" in finished.out


def test_no_answer_is_critical_and_one_that_is_not_understood_is_unknown(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("check-health")
    assert (finished.code, finished.out.startswith("SSO UNKNOWN - ")) == (3, True)
    fake.answers["GET /v1/status"] = problem(503, "no-keyring")
    assert ssoctl("check-health").code == 3


def test_without_ssod_it_is_critical(ssoctl: Ssoctl) -> None:
    finished = ssoctl("check-health")
    assert (finished.code, finished.out.startswith("SSO CRITICAL - ")) == (2, True)
    assert str(ssoctl.socket) in finished.out


def test_worst_comes_first(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/status"] = backed_up(unfit=["x"], can_encrypt=False, sentence="detached: m1 lost")
    out = ssoctl("check-health").out
    assert out.index("detached: m1 lost") < out.index("not fit")
