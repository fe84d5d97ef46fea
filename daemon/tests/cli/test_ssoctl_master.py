"""`ssoctl master` takes and leaves the role of master, and asks only before leaving it."""

from __future__ import annotations

import json

import pytest
from fake_ssod import FakeSsod
from ssoctl_harness import KEY, Ssoctl, master_document

ACTIVATED = {
    "changed": True,
    "master": "m2",
    "epoch": 4,
    "servers": [
        {"name": "s1", "reachable": True, "attached": True, "key_id": KEY, "epoch": 4, "seconds": 0.125, "detail": None},
        {
            "name": "m1",
            "reachable": False,
            "attached": None,
            "key_id": None,
            "epoch": None,
            "seconds": 10,
            "detail": "timed out",
        },
    ],
}


def test_status_names_the_master(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/master"] = master_document(master=None, mastership="passive", sentence="detached: no master")
    finished = ssoctl("master", "status")
    assert finished.code == 0
    assert finished.out.startswith("detached: no master\n")
    assert "none" in finished.out


def test_activate_asks_nothing_and_shows_how_each_server_took_it(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/activate"] = ACTIVATED
    finished = ssoctl("master", "activate")
    assert finished.code == 0
    assert finished.out.startswith("m2 is now the master, epoch 4\n")
    assert "timed out" in finished.out and "0.12" in finished.out
    assert fake.requests[0].body == {"dry_run": False}


def test_activate_can_expect_an_epoch_and_only_try(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/activate"] = {"changed": True, "master": None, "epoch": 3, "servers": []}
    finished = ssoctl("master", "activate", "--expected-epoch", "3", "--dry-run")
    assert finished.out == "this server would become the master; now it is none, epoch 3\n"
    assert fake.requests[0].body == {"dry_run": True, "expected_epoch": 3}


def test_activate_says_when_there_was_nothing_to_do(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/activate"] = {"changed": False, "master": "m1", "epoch": 3, "servers": None}
    assert ssoctl("master", "activate").out == "m1 was already the master, epoch 3\n"


def test_deactivate_without_a_terminal_needs_yes(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("master", "deactivate")
    assert finished.code == 2
    assert "--yes" in finished.err
    assert fake.requests == []


@pytest.mark.parametrize(("changed", "words"), [(True, "has left"), (False, "was not the master")])
def test_deactivate_with_yes(fake: FakeSsod, ssoctl: Ssoctl, changed: bool, words: str) -> None:
    fake.answers["POST /v1/master/deactivate"] = {"changed": changed, "epoch": 3}
    finished = ssoctl("master", "deactivate", "--yes")
    assert finished.code == 0
    assert words in finished.out


def test_a_deactivation_that_the_database_does_not_know_of_is_done_and_says_so(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    """The cluster goes on: this server acts no more."""
    fake.answers["POST /v1/master/deactivate"] = {"changed": True, "epoch": 3, "recorded": False}
    finished = ssoctl("master", "deactivate", "--yes")
    assert finished.code == 0
    assert "the SSO database cannot be reached" in finished.err


def test_a_dry_run_of_deactivate_needs_no_yes(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/deactivate"] = {"changed": True, "epoch": 3}
    assert "would leave" in ssoctl("master", "deactivate", "--dry-run").out
    assert fake.requests[0].body == {"dry_run": True}


def test_json_prints_the_documents(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {
        "GET /v1/master": master_document(),
        "POST /v1/master/activate": ACTIVATED,
        "POST /v1/master/deactivate": {"changed": True, "epoch": 3},
    }
    assert json.loads(ssoctl("master", "status", "--json").out) == master_document()
    assert json.loads(ssoctl("master", "activate", "--json").out) == ACTIVATED
    assert json.loads(ssoctl("master", "deactivate", "--yes", "--json").out) == {"changed": True, "epoch": 3}
