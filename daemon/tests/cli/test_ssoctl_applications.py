"""`ssoctl application` shows applications and writes them from JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, problem
from ssoctl_harness import Ssoctl

APPLICATION = {
    "name": "billing",
    "description": "Billing",
    "contact": "team@example",
    "enabled": True,
    "administrators": ["group:billing-admins"],
    "users": ["certificate:web1"],
    "fields": [{"name": "host", "masked": False}, {"name": "password", "masked": True}],
    "version": 7,
}
NOTHING = {"changes": [], "destroys": []}
WITHOUT_NAME = {key: value for key, value in APPLICATION.items() if key not in ("name", "version")}


def test_list_and_show_mark_the_masked_fields(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {
        "GET /v1/applications": {"applications": [APPLICATION]},
        "GET /v1/applications/billing": APPLICATION,
    }
    for arguments in (["list"], ["show", "billing"]):
        finished = ssoctl("application", *arguments)
        assert finished.code == 0
        assert "host, password (masked)" in finished.out
    assert json.loads(ssoctl("application", "show", "billing", "--json").out) == APPLICATION
    assert json.loads(ssoctl("application", "list", "--json").out) == {"applications": [APPLICATION]}


def test_put_reads_a_file(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    fake.answers["PUT /v1/applications/billing"] = APPLICATION | {"plan": {"changes": ["it is enabled"], "destroys": []}}
    file = tmp_path / "billing.json"
    file.write_text(json.dumps(WITHOUT_NAME))
    finished = ssoctl("application", "put", "billing", file, "--if-version", "0")
    assert (finished.code, finished.out) == (0, "application billing, version 7\n  it is enabled\n")
    assert fake.requests[0].body == WITHOUT_NAME | {"if_version": 0}


def test_what_show_prints_can_be_put_back_and_holds_its_version(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/applications/billing"] = APPLICATION | {"plan": NOTHING}
    assert ssoctl("application", "put", "billing", "-", stdin=json.dumps(APPLICATION).encode()).code == 0
    assert fake.requests[0].body == WITHOUT_NAME | {"if_version": 7}


def test_put_of_another_application_is_refused(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("application", "put", "payroll", "-", stdin=json.dumps(APPLICATION).encode()).code == 2
    assert fake.requests == []


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000])
def test_what_is_not_one_object_is_usage(fake: FakeSsod, ssoctl: Ssoctl, text: bytes) -> None:
    finished = ssoctl("application", "put", "billing", "-", stdin=text)
    assert finished.code == 2
    assert finished.err.startswith("ssoctl: the application in - ")
    assert fake.requests == []


def test_a_file_that_is_absent_is_usage(ssoctl: Ssoctl, tmp_path: Path) -> None:
    finished = ssoctl("application", "put", "billing", tmp_path / "absent")
    assert finished.code == 2
    assert "absent" in finished.err


def test_put_tells_what_would_be_lost_and_accepts_it_only_when_that_is_said(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    plan = {"changes": ["field password is removed"], "destroys": ["field password is deleted from 3 configurations"]}
    fake.answers |= {
        "PUT /v1/applications/billing": problem(409, "data-loss", conditions=plan["destroys"]),
        "PUT /v1/applications/billing?dry_run=true": APPLICATION | {"plan": plan},
    }
    text = json.dumps(WITHOUT_NAME).encode()
    refused = ssoctl("application", "put", "billing", "-", stdin=text)
    assert refused.code == 1
    assert "  - field password is deleted from 3 configurations\n" in refused.err
    tried = ssoctl("application", "put", "billing", "-", "--dry-run", "--accept-data-loss", stdin=text)
    assert (tried.code, tried.out.splitlines()[0]) == (0, "application billing, version 7 (only tried)")
    assert "  WOULD BE LOST: field password is deleted from 3 configurations\n" in tried.out
    assert [request.body.get("data_loss") for request in fake.requests] == [None, "accept"]


def test_enable_disable_and_users_change_one_member_of_the_version_they_read(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {
        "GET /v1/applications/billing": APPLICATION,
        "PUT /v1/applications/billing": APPLICATION | {"plan": NOTHING},
    }
    assert ssoctl("application", "enable", "billing").code == 0
    assert ssoctl("application", "disable", "billing").code == 0
    assert ssoctl("application", "users", "billing", "--add", "user:alice", "--remove", "certificate:web1").code == 0
    kept = WITHOUT_NAME | {"if_version": 7}
    bodies = [request.body for request in fake.requests if request.method == "PUT"]
    assert bodies == [kept | {"enabled": True}, kept | {"enabled": False}, kept | {"users": ["user:alice"]}]


def test_users_needs_something_to_change_that_is_there(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/applications/billing"] = APPLICATION
    assert ssoctl("application", "users", "billing").code == 2
    assert ssoctl("application", "users", "billing", "--remove", "user:nobody").code == 2
    assert fake.asked() == ["GET /v1/applications/billing"]


def test_delete_needs_yes_and_can_take_the_data_along(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    destroys = {"destroys": ["2 configurations are deleted"]}
    fake.answers |= {
        "DELETE /v1/applications/billing": problem(409, "application-in-use"),
        "DELETE /v1/applications/billing?with_data=true": destroys,
        "DELETE /v1/applications/billing?with_data=true&dry_run=true": destroys,
    }
    assert ssoctl("application", "delete", "billing").code == 2
    assert ssoctl("application", "delete", "billing", "--yes").code == 1
    finished = ssoctl("application", "delete", "billing", "--with-data", "--yes")
    assert (finished.code, finished.out) == (0, "application billing is deleted\n  2 configurations are deleted\n")
    assert ssoctl("application", "delete", "billing", "--with-data", "--dry-run").out.startswith("application billing would be")
    assert json.loads(ssoctl("application", "delete", "billing", "--with-data", "--yes", "--json").out) == destroys
