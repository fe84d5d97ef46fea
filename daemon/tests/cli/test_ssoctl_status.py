"""`ssoctl status` and `selftest` say how the server is, in words and in the exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from fake_ssod import FakeSsod, ok, problem
from ssoctl_harness import KEY, Ssoctl, server_document, status_document


def test_attached_is_exit_code_0_and_the_sentence_comes_first(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/status"] = status_document()
    finished = ssoctl("status")
    assert finished.code == 0
    assert finished.out.splitlines()[0] == "attached: master m1, epoch 3"
    assert finished.err == ""


def test_detached_is_exit_code_5_and_still_told_in_full(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/status"] = status_document(state="detached", sentence="detached: master m1 not seen for 74 s")
    finished = ssoctl("status")
    assert finished.code == 5
    assert finished.out.startswith("detached: master m1 not seen for 74 s\n")
    assert "s2.example:7443" in finished.out


def test_what_a_server_said_long_ago_is_not_its_present(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    """A server that died said nothing of it: its last word, that it is attached, is shown as silence."""
    document = status_document()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document["servers"] = [server_document("dead"), server_document("live", last_seen=now)]
    fake.answers["GET /v1/status"] = document
    lines = {line.split()[0]: line for line in ssoctl("status").out.splitlines() if ".example:7443" in line}
    assert " SILENT " in lines["dead"]
    assert " yes " in lines["live"]


def test_who_manages_the_mastership_and_every_reason_against_a_member_are_told(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    """Each reason on a line of its own; a fit server has none."""
    fake.answers["GET /v1/status"] = status_document()
    assert "managed by the operator" in ssoctl("status").out
    assert "NOT FIT" not in ssoctl("status").out
    reasons = ["its certificate expired", "the sealed copy on this host's disk is missing"]
    fake.answers["GET /v1/status"] = status_document(managed_by="cluster", mandate=False, unfit=reasons)
    lines = ssoctl("status").out.splitlines()
    assert any("managed by the cluster, which has not given it to this server" in line for line in lines)
    assert [line.partition("  ")[2].strip() for line in lines if line.startswith("NOT FIT")] == reasons


def test_starting_is_not_attached(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/status"] = status_document(state="starting")
    assert ssoctl("status").code == 5


def test_without_ssod_the_exit_code_is_6_and_the_line_names_the_socket(ssoctl: Ssoctl) -> None:
    finished = ssoctl("status")
    assert finished.code == 6
    assert str(ssoctl.socket) in finished.err
    assert "systemctl status ssod" in finished.err


def test_json_is_the_daemons_document_with_members_this_version_does_not_know(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    document = status_document() | {"of_a_later_version": [1]}
    fake.answers["GET /v1/status"] = document
    finished = ssoctl("status", "--json")
    assert finished.code == 0
    assert json.loads(finished.out) == document


def test_the_table_tells_a_standby_whose_sealed_copy_is_another_key(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/status"] = status_document()
    rows = {line.split()[0]: line for line in ssoctl("status").out.splitlines() if ".example" in line}
    assert "master" in rows["m1"] and "other" not in rows["m1"]
    assert "standby" in rows["s1"] and "other: b2b2b2b2" in rows["s1"]
    assert "server" in rows["s2"] and "none" in rows["s2"] and " no " in rows["s2"]


def test_nothing_is_cut_when_the_output_goes_into_a_pipe(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    document = status_document()
    document["servers"][0]["address"] = "a" * 200 + ":7443"
    fake.answers["GET /v1/status"] = document
    assert "a" * 200 + ":7443" in ssoctl("status").out


def test_no_line_ends_in_blanks(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/status"] = status_document()
    assert all(line == line.rstrip() for line in ssoctl("status").out.splitlines())


def test_a_lost_database_is_said_and_nothing_is_passed_off_as_current(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    document = status_document(state="detached")
    document |= {"environment": None, "servers": None}
    document["database"] = {"reachable": False, "kind": "postgresql", "detail": "timed out"}
    fake.answers["GET /v1/status"] = document
    out = ssoctl("status").out
    assert "postgresql, NOT reachable, timed out" in out
    assert "not known while the database cannot be reached" in out
    assert ".example" not in out


def test_a_secret_without_a_verified_backup_is_shouted(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    document = status_document()
    document["environment"] |= {"backup_verified_at": None, "backup_place": None}
    fake.answers["GET /v1/status"] = document
    assert "NONE VERIFIED" in ssoctl("status").out


def test_a_name_cannot_steer_the_terminal(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    document = status_document(sentence="attached: \x1b[31mred", name="s1\x1b]0;title\x07")
    document["servers"][0]["address"] = "[bold]\x1b[2J"
    fake.answers["GET /v1/status"] = document
    out = ssoctl("status").out
    assert "\x1b" not in out and "\x07" not in out
    assert "[bold]\\x1b[2J" in out


def test_selftest_names_the_key_it_used(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/selftest"] = {"ok": True, "key_id": KEY, "micros": 42}
    finished = ssoctl("selftest")
    assert (finished.code, finished.out) == (0, f"ok: key id {KEY}, 42 microseconds\n")
    assert fake.requests[0].body == {}


def test_a_selftest_that_fails_is_exit_code_1(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/selftest"] = ok({"ok": False, "key_id": KEY, "micros": 42})
    assert ssoctl("selftest").code == 1


def test_a_selftest_that_is_refused_while_detached_is_exit_code_5(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/selftest"] = problem(503, "master-lost")
    assert ssoctl("selftest").code == 5


def test_that_sso_is_disabled_is_not_overlooked(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    document = status_document()
    fake.answers["GET /v1/status"] = document
    assert "DISABLED" not in ssoctl("status").out
    document["environment"]["disabled_at"] = "2026-01-02T03:04:05Z"
    assert "DISABLED everywhere since 2026-01-02T03:04:05Z" in ssoctl("status").out


def test_the_sealing_is_told_with_what_is_wrong_and_until_when_a_cache_is_used(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    cache = {
        "max_age_seconds": 28800.0,
        "vouched_at": "2026-11-23T10:00:00Z",
        "used_until": "2026-11-23T18:00:00Z",
        "refusal": None,
    }
    sealing = {"key": "pkcs11", "sealed_under": "sealing-key", "problem": "the token 'hsm' is not there", "cache": cache}
    fake.answers["GET /v1/status"] = status_document(sealing=sealing)
    shown = " ".join(ssoctl("status").out.split())
    assert "sealed with pkcs11, and the copy is under sealing-key still" in shown
    assert "vouched for at 2026-11-23T10:00:00Z, of use for 28800 s; IN USE without the master until 2026-11-23T18:00:00Z" in shown
    assert "SEALING the token 'hsm' is not there" in shown
