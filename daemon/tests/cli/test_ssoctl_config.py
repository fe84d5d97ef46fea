"""`ssoctl config` shows masked values only on request, and takes none from its arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, Reply, Request, ok, problem
from ssoctl_harness import KEY, Ssoctl
from test_ssoctl_applications import APPLICATION

CANARY = "canary-5f1d-secret"
PATH = "/v1/applications/billing/config/db"
HIDDEN = {
    "application": "billing",
    "name": "db",
    "version": 3,
    "updated_at": "2026-11-23T10:00:00Z",
    "key_id": KEY,
    "properties": {"host": "h"},
    "masked": ["password"],
}
REVEALED = HIDDEN | {"properties": {"host": "h", "password": CANARY}}
WRITTEN = {"version": 4, "changes": {"added": [], "changed": ["host"], "removed": []}}


@pytest.fixture
def filled(fake: FakeSsod) -> FakeSsod:
    fake.answers |= {
        "GET /v1/applications/billing": APPLICATION,
        f"GET {PATH}": HIDDEN,
        f"GET {PATH}?reveal=true": REVEALED,
        f"PUT {PATH}": WRITTEN,
        f"PUT {PATH}?dry_run=true": WRITTEN,
        f"DELETE {PATH}": {"version": 3},
        f"DELETE {PATH}?dry_run=true": {"version": 3},
    }
    return fake


def test_list_shows_names_and_no_values(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    document = {"configs": [{"name": "db", "version": 3, "updated_at": "2026-11-23T10:00:00Z", "fields": ["host"]}]}
    filled.answers["GET /v1/applications/billing/config"] = document
    assert "db" in ssoctl("config", "list", "billing").out
    assert json.loads(ssoctl("config", "list", "billing", "--json").out) == document


def test_get_names_masked_values_without_asking_for_them(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("config", "get", "billing", "db")
    assert [line.split() for line in finished.out.splitlines()[4:]] == [["host", "h"], ["password", "(masked)"]]
    assert filled.asked() == [f"GET {PATH}"]


def test_get_reveals_on_request(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert CANARY in ssoctl("config", "get", "billing", "db", "--reveal").out
    assert json.loads(ssoctl("config", "get", "billing", "db", "--reveal", "--json").out) == REVEALED


def test_get_warns_when_the_database_is_lost_and_this_is_older(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    filled.answers[f"GET {PATH}"] = HIDDEN | {"cached_at": "2026-11-23T09:00:00Z"}
    finished = ssoctl("config", "get", "billing", "db")
    assert finished.code == 0
    assert "read at 2026-11-23T09:00:00Z" in finished.err


def test_get_of_what_is_absent_is_exit_code_4(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers[f"GET {PATH}"] = problem(404, "config-not-found")
    assert ssoctl("config", "get", "billing", "db").code == 4


def test_put_replaces_the_bag_and_tells_names_only(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    properties = {"host": "new", "password": CANARY}
    finished = ssoctl("config", "put", "billing", "db", "-", stdin=json.dumps(properties).encode())
    assert finished.code == 0
    assert finished.out == "billing/db, version 4\n  changed: host\n"
    assert filled.requests[0].body == {"properties": properties}


def test_put_with_a_version(filled: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text('{"host": "new"}')
    ssoctl("config", "put", "billing", "db", file, "--if-version", "3")
    assert filled.requests[0].body == {"properties": {"host": "new"}, "if_version": 3}


def test_put_can_only_try(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("config", "put", "billing", "db", "-", "--dry-run", stdin=b"{}")
    assert "only tried" in finished.out
    assert filled.asked() == [f"PUT {PATH}?dry_run=true"]


def test_put_without_a_change_says_so(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    filled.answers[f"PUT {PATH}"] = {"version": 3, "changes": {"added": [], "changed": [], "removed": []}}
    assert ssoctl("config", "put", "billing", "db", "-", stdin=b"{}").out == "billing/db, version 3: nothing to change\n"


def test_a_value_that_is_not_text_is_refused_by_name(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    text = json.dumps({"host": "h", "password": [CANARY], "port": 5432}).encode()
    finished = ssoctl("config", "put", "billing", "db", "-", stdin=text)
    assert finished.code == 2
    assert "password, port" in finished.err
    assert CANARY not in finished.err
    assert filled.requests == []


def test_broken_json_is_refused_without_being_quoted(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("config", "put", "billing", "db", "-", stdin=b'{"password": "%s" oops' % CANARY.encode())
    assert finished.code == 2
    assert CANARY not in finished.err + finished.out


def test_set_keeps_the_other_properties_masked_ones_included(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("config", "put", "billing", "db", "--set", "host=new=er")
    assert finished.code == 0
    assert filled.requests[-1].body == {"properties": {"host": "new=er", "password": CANARY}, "if_version": 3}
    assert CANARY not in finished.out + finished.err


def test_set_asks_for_no_disclosure_where_nothing_is_masked(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    filled.answers[f"GET {PATH}"] = HIDDEN | {"masked": []}
    ssoctl("config", "put", "billing", "db", "--set", "host=new")
    assert not any("reveal" in asked for asked in filled.asked())


def test_set_can_begin_a_configuration_that_must_then_not_exist(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    filled.answers[f"GET {PATH}"] = problem(404, "config-not-found")
    assert ssoctl("config", "put", "billing", "db", "--set", "host=new").code == 0
    assert filled.requests[-1].body == {"properties": {"host": "new"}, "if_version": 0}


def test_set_adds_to_a_file_without_looking_at_what_is_there(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    stdin = json.dumps({"password": CANARY}).encode()
    assert ssoctl("config", "put", "billing", "db", "-", "--set", "host=new", stdin=stdin).code == 0
    assert filled.requests[-1].body == {"properties": {"host": "new", "password": CANARY}}
    assert filled.asked() == ["GET /v1/applications/billing", f"PUT {PATH}"]


def test_set_of_a_masked_field_is_refused_and_explained(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("config", "put", "billing", "db", "--set", f"password={CANARY}")
    assert finished.code == 2
    assert "masked fields, and nothing was changed: password" in finished.err
    assert "disclosed" in finished.err and "ssoctl config put billing db -" in finished.err
    assert CANARY not in finished.err
    assert filled.asked() == ["GET /v1/applications/billing"]


@pytest.mark.parametrize("assignments", [[CANARY], [f"={CANARY}"], ["host=a", f"host={CANARY}"]])
def test_a_set_of_another_form_is_refused_without_being_quoted(filled: FakeSsod, ssoctl: Ssoctl, assignments: list[str]) -> None:
    finished = ssoctl("config", "put", "billing", "db", *(word for text in assignments for word in ("--set", text)))
    assert finished.code == 2
    assert CANARY not in finished.err
    assert filled.requests == []


def test_put_of_nothing_is_usage(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("config", "put", "billing", "db").code == 2
    assert filled.requests == []


def test_a_version_that_somebody_else_raised_is_exit_code_1(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    def put(request: Request) -> Reply:
        return problem(409, "version-conflict") if request.body["if_version"] == 3 else ok(WRITTEN)

    filled.answers[f"PUT {PATH}"] = put
    assert ssoctl("config", "put", "billing", "db", "--set", "host=new").code == 1


def test_delete_needs_yes_except_to_try(filled: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("config", "delete", "billing", "db").code == 2
    assert ssoctl("config", "delete", "billing", "db", "--dry-run").out == "billing/db, version 3, would be deleted\n"
    assert ssoctl("config", "delete", "billing", "db", "--yes").out == "billing/db, version 3, is deleted\n"
    assert filled.asked() == [f"DELETE {PATH}?dry_run=true", f"DELETE {PATH}"]
