"""`ssoctl role` changes the members of a role, and `ssoctl sso` disables everything at once."""

from __future__ import annotations

import json

from fake_ssod import FakeSsod, problem
from ssoctl_harness import Ssoctl

ROLES = {
    "roles": [
        {"role": "sso_administrator", "members": ["user:alice"], "configured": ["group:sso-admins"]},
        {"role": "sso_auditor", "members": ["group:audit", "user:eve"], "configured": []},
    ]
}


def written(added: list[str], removed: list[str]) -> dict[str, object]:
    return {"role": "sso_auditor", "members": [], "configured": [], "changes": {"added": added, "removed": removed}}


def test_list_shows_both_ways_to_have_a_role(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/roles"] = ROLES
    lines = ssoctl("role", "list").out.splitlines()
    assert [line.split() for line in lines[-2:]] == [
        ["sso_administrator", "user:alice", "group:sso-admins"],
        ["sso_auditor", "group:audit,", "user:eve"],
    ]
    assert json.loads(ssoctl("role", "list", "--json").out) == ROLES


def test_add_and_remove_put_the_whole_list(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {"GET /v1/roles": ROLES, "PUT /v1/roles/sso_auditor": written(["user:bob"], [])}
    finished = ssoctl("role", "add", "sso_auditor", "user:bob")
    assert (finished.code, finished.out) == (0, "sso_auditor is changed\n  added: user:bob\n")
    assert ssoctl("role", "remove", "sso_auditor", "user:eve").code == 0
    bodies = [request.body for request in fake.requests if request.method == "PUT"]
    assert bodies == [{"members": ["group:audit", "user:bob", "user:eve"]}, {"members": ["group:audit"]}]


def test_set_replaces_the_list_and_can_be_tried(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/roles/sso_auditor?dry_run=true"] = written([], ["user:eve"])
    fake.answers["PUT /v1/roles/sso_auditor"] = written([], [])
    assert ssoctl("role", "set", "sso_auditor", "--dry-run").out == "sso_auditor would be changed\n  removed: user:eve\n"
    assert ssoctl("role", "set", "sso_auditor", "user:a", "user:b").out == "sso_auditor: nothing to change\n"
    assert [request.body for request in fake.requests] == [{"members": []}, {"members": ["user:a", "user:b"]}]


def test_what_is_not_there_is_not_removed_and_says_where_it_comes_from(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/roles"] = ROLES
    finished = ssoctl("role", "remove", "sso_administrator", "group:sso-admins")
    assert finished.code == 2
    assert "group:sso-admins has the role by the file of this server" in finished.err
    assert ssoctl("role", "add", "root", "user:a").code == 2
    assert fake.asked() == ["GET /v1/roles", "GET /v1/roles"]


def test_a_refusal_to_lock_out_is_told(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/roles/sso_administrator"] = problem(409, "would-lock-out")
    finished = ssoctl("role", "set", "sso_administrator", "user:bob")
    assert (finished.code, finished.out) == (1, "")
    assert "detail of would-lock-out" in finished.err


def test_sso_is_disabled_by_one_who_is_sure(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {
        "GET /v1/sso": {"enabled": True, "disabled_at": None},
        "PUT /v1/sso": {"enabled": False, "disabled_at": "2026-01-02T03:04:05Z"},
    }
    assert ssoctl("sso", "show").out == "SSO is enabled\n"
    assert ssoctl("sso", "disable").code == 2
    finished = ssoctl("sso", "disable", "--yes")
    assert (finished.code, finished.out) == (0, "SSO is DISABLED everywhere since 2026-01-02T03:04:05Z\n")
    assert ssoctl("sso", "enable").code == 0
    assert [request.body for request in fake.requests if request.method == "PUT"] == [{"enabled": False}, {"enabled": True}]
