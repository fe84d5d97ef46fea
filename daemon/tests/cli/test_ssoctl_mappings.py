"""`ssoctl mapping`, `credentials` and `ticket`: credentials come from files and prompts, and go out where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, problem
from ssoctl_harness import KEY, Ssoctl

CANARY = "canary-77ab-secret"
BASE = "/v1/applications/billing"
PATH = f"{BASE}/mappings/user%3Aalice"
MAPPING = {
    "principal": "user:alice",
    "external_id": "A1",
    "position": 2,
    "enabled": False,
    "disabled_by_user": True,
    "disabled_by_administrator": True,
    "fields": ["password"],
    "key_id": KEY,
    "version": 3,
    "updated_at": "2026-11-23T10:00:00Z",
}
CHANGES = {"added": ["password"], "changed": [], "removed": [], "mapping": ["external_id"]}
WRITTEN = MAPPING | {"version": 4, "enabled": True, "changes": CHANGES}
OWN = f"{BASE}/mapping"
DISCLOSED = {
    "application": "billing",
    "principal": "user:alice",
    "external_id": "A1",
    "credentials": {"password": CANARY, "pin": "0815"},
    "key_id": KEY,
    "cached_at": None,
}


@pytest.fixture
def filled(fake: FakeSsod) -> FakeSsod:
    fake.answers |= {
        f"GET {BASE}/mappings?after=&limit=1000": {"mappings": [MAPPING], "next": None},
        f"GET {PATH}": MAPPING,
        f"PUT {PATH}": WRITTEN,
        f"PUT {PATH}?dry_run=true": WRITTEN,
        f"DELETE {PATH}": {"version": 3},
        f"DELETE {PATH}?dry_run=true": {"version": 3},
        f"GET {OWN}": MAPPING,
        f"PUT {OWN}": WRITTEN,
        f"DELETE {OWN}": {"version": 3},
        f"GET {BASE}/credentials": DISCLOSED,
        f"POST {BASE}/tickets": {"ticket": "hft1.abc", "expires_at": "2026-11-23T10:02:00Z"},
        f"POST {BASE}/tickets/redeem": DISCLOSED,
    }
    return fake


def test_list_shows_accounts_and_who_disabled_them(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    out = ssoctl("mapping", "list", "billing").out
    assert "user:alice" in out and "A1" in out and "no: disabled by its user and by an administrator" in out
    assert json.loads(ssoctl("mapping", "list", "billing", "--json").out)["mappings"] == [MAPPING]


def test_list_says_how_to_see_more(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    path = f"GET {BASE}/mappings?after=user%3Aa&limit=1&external_id=A+1"
    filled.answers[path] = {"mappings": [MAPPING], "next": "user:alice"}
    finished = ssoctl("mapping", "list", "billing", "--after", "user:a", "--limit", "1", "--external-id", "A 1")
    assert "--after user:alice" in finished.err


def test_show_is_of_one(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert KEY in ssoctl("mapping", "show", "billing", "user:alice").out
    assert json.loads(ssoctl("mapping", "show", "billing", "own", "--json").out) == MAPPING
    assert filled.asked() == [f"GET {PATH}", f"GET {OWN}"]


def test_put_starts_from_what_is_there(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("mapping", "put", "billing", "user:alice", "--external-id", "A2")
    assert filled.requests[-1].body == {"external_id": "A2", "position": 2, "if_version": 3}
    assert finished.out == "billing/user:alice, version 4: enabled\n  credentials added: password\n  changed: external_id\n"


def test_put_of_credentials_takes_them_from_standard_input(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl(
        "mapping", "put", "billing", "user:alice", "--credentials", "-", stdin=b'{"password": "%s"}' % CANARY.encode()
    )
    assert finished.code == 0
    assert filled.requests[-1].body["credentials"] == {"password": CANARY}
    assert CANARY not in finished.out + finished.err


def test_put_of_a_new_one_must_not_find_any(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    filled.answers[f"GET {PATH}"] = problem(404, "mapping-not-found")
    assert ssoctl("mapping", "put", "billing", "user:alice").code == 2
    assert ssoctl("mapping", "put", "billing", "user:alice", "--external-id", "A2", "--position", "1").code == 0
    assert filled.requests[-1].body == {"external_id": "A2", "position": 1, "if_version": 0}


def test_put_can_only_try(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert "only tried" in ssoctl("mapping", "put", "billing", "user:alice", "--dry-run").out
    assert filled.asked()[-1] == f"PUT {PATH}?dry_run=true"


def test_put_of_what_is_no_text_is_refused_by_name(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    text = json.dumps({"password": [CANARY], "pin": 1}).encode()
    finished = ssoctl("mapping", "put", "billing", "user:alice", "--credentials", "-", stdin=text)
    assert finished.code == 2
    assert "password, pin" in finished.err and CANARY not in finished.err


def test_nobody_can_be_asked_without_a_terminal(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("mapping", "put", "billing", "own", "--ask").code == 2
    assert ssoctl("mapping", "put", "billing", "own", "--ask", "--credentials", "-").code == 2


def test_one_s_own_mapping_is_put_without_looking(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    stdin = b'{"pin": "1"}'
    assert ssoctl("mapping", "put", "billing", "own", "--external-id", "A", "--credentials", "-", stdin=stdin).code == 0
    assert filled.requests[0].body == {"external_id": "A", "credentials": {"pin": "1"}}
    assert ssoctl("mapping", "put", "billing", "own", "--position", "1").code == 2


def test_disable_and_enable_keep_the_rest(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("mapping", "disable", "billing", "user:alice").code == 0
    assert filled.requests[-1].body == {"external_id": "A1", "position": 2, "disabled_by_administrator": True, "if_version": 3}
    assert ssoctl("mapping", "enable", "billing", "user:alice").code == 0
    assert filled.requests[-1].body["disabled_by_administrator"] is False
    assert ssoctl("mapping", "disable", "billing", "own").code == 0
    assert filled.requests[-1].body == {"enabled": False}


def test_delete_needs_yes_except_to_try(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("mapping", "delete", "billing", "user:alice").code == 2
    assert (
        ssoctl("mapping", "delete", "billing", "user:alice", "--dry-run").out == "billing/user:alice, version 3, would be deleted\n"
    )
    assert ssoctl("mapping", "delete", "billing", "user:alice", "--yes").code == 0
    assert ssoctl("mapping", "delete", "billing", "own", "--yes").code == 0
    assert filled.asked() == [f"DELETE {PATH}?dry_run=true", f"DELETE {PATH}", f"DELETE {OWN}"]


def test_credentials_are_shown_to_whom_they_belong(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert CANARY in ssoctl("credentials", "get", "billing").out
    assert ssoctl("credentials", "get", "billing", "--field", "pin").raw == b"0815"
    assert json.loads(ssoctl("credentials", "get", "billing", "--json").out) == DISCLOSED
    missing = ssoctl("credentials", "get", "billing", "--field", "nothing")
    assert (missing.code, CANARY in missing.err) == (2, False)


def test_credentials_of_a_lost_database_say_how_old_they_are(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    filled.answers[f"GET {BASE}/credentials"] = DISCLOSED | {"cached_at": "2026-11-23T09:00:00Z"}
    assert "read at 2026-11-23T09:00:00Z" in ssoctl("credentials", "get", "billing").err


@pytest.mark.parametrize(
    ("status", "name", "code"), [(403, "mapping-disabled", 3), (404, "mapping-not-found", 4), (409, "no-credentials", 1)]
)
def test_a_refused_look_up_has_an_exit_code(filled: FakeSsod, ssoctl: Ssoctl, status: int, name: str, code: int) -> None:
    filled.answers[f"GET {BASE}/credentials"] = problem(status, name)
    assert ssoctl("credentials", "get", "billing").code == code


def test_a_ticket_is_issued_and_redeemed_through_pipes(filled: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    assert ssoctl("ticket", "issue", "billing").out == "hft1.abc\n"
    finished = ssoctl("ticket", "redeem", "billing", "--sender", "user:alice", "--field", "password", stdin=b"hft1.abc\n")
    assert (finished.code, finished.out) == (0, CANARY)
    assert filled.requests[-1].body == {"ticket": "hft1.abc", "sender": "user:alice"}
    file = tmp_path / "ticket"
    file.write_text("hft1.abc")
    assert ssoctl("ticket", "redeem", "billing", "--file", file).code == 0
    assert filled.requests[-1].body == {"ticket": "hft1.abc", "sender": None}
