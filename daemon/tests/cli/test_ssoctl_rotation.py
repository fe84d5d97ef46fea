"""`ssoctl secret rotate` takes the steps in their order, goes on where it was, and says how far it is."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from fake_ssod import FakeSsod, Reply, Request, ok, problem
from ssoctl_harness import ENVIRONMENT, KEY, OLD_KEY, Ssoctl, master_document

from ssod.cli.rotation import BATCH

BACKUP = b"age-encryption.org/v1\n\x00\xff"
DIGEST = hashlib.sha256(BACKUP).hexdigest()
ABOUT = {"format": "holdfast backup 1", "environment_id": ENVIRONMENT, "current_key_id": KEY, "made_at": "", "sha256": DIGEST}
PLACE = {"kind": "config", "application": "a", "owner": "in", "field": "x"}
STEPS = ["prepare", "backup", "verify", "verify", "switch", "renew", "backup", "verify", "verify"]


class Master:
    """Stands for the master: how many values are left, and what is next."""

    def __init__(self, fake: FakeSsod) -> None:
        self.fake = fake
        self.left = 1500
        self.next: dict[str, Any] | None = None
        self.damaged: list[dict[str, str]] = []
        fake.answers |= {
            "GET /v1/master": master_document(),
            "GET /v1/secret/rotation": lambda _: ok(self.rotation()),
            "POST /v1/secret/rotation/prepare": {"changed": True, "current_key_id": OLD_KEY, "next_key_id": KEY},
            "POST /v1/secret/rotation/switch": {"changed": True, "current_key_id": KEY, "servers": []},
            "POST /v1/secret/rotation/renew": self.renew,
            "POST /v1/secret/backup": {"backup": base64.b64encode(BACKUP).decode(), "about": ABOUT},
            "POST /v1/secret/backup/verify": {
                "environment_id": ENVIRONMENT,
                "current_key_id": KEY,
                "key_ids": [KEY, OLD_KEY],
                "sha256": DIGEST,
            },
        }

    def rotation(self) -> dict[str, Any]:
        return {"current_key_id": KEY, "next": self.next, "values": {OLD_KEY: self.left}, "left": self.left}

    def renew(self, request: Request) -> Reply:
        renewed = min(request.body["limit"], self.left - len(self.damaged))
        self.left -= renewed
        last = PLACE if renewed == request.body["limit"] else None
        return ok({"renewed": renewed, "last": last, "damaged": [] if last else self.damaged})

    def steps(self) -> list[str]:
        return [request.path.rpartition("/")[2] for request in self.fake.requests if request.method == "POST"]


@pytest.fixture
def master(fake: FakeSsod) -> Master:
    return Master(fake)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    return ["secret", "rotate", "--output", str(tmp_path / "b.age"), "--recipient", "age1" + "q" * 58, "--yes", "--rate", "0"]


def test_the_steps_are_taken_in_their_order(master: Master, ssoctl: Ssoctl, arguments: list[str]) -> None:
    """Nothing is left from an earlier rotation: another secret is made, and everything is brought under it."""
    master.left = 0
    master.fake.answers["POST /v1/secret/rotation/switch"] = switched(master)
    finished = ssoctl(*arguments)
    assert finished.code == 0, finished.err
    assert [step for step in master.steps() if step != "renew"] == [step for step in STEPS if step != "renew"]
    assert "5/5 1500 values were re-encrypted" in finished.out
    assert f"1/5 the next secret is {KEY}" in finished.out


def switched(master: Master) -> Any:
    def switch(_: Request) -> Reply:
        master.left = 1500
        return ok({"changed": True, "current_key_id": KEY, "servers": []})

    return switch


def test_one_that_was_broken_off_after_the_switch_is_gone_on_with(master: Master, ssoctl: Ssoctl, arguments: list[str]) -> None:
    """No other secret is made: each batch begins where the one before ended."""
    finished = ssoctl(*arguments)
    assert finished.code == 0, finished.err
    assert [step for step in master.steps() if step != "renew"] == ["backup", "verify", "verify"]
    batches = [request.body["after"] for request in master.fake.requests if request.path.endswith("renew")]
    assert batches[0] is None
    assert batches[1:] == [PLACE] * (1500 // BATCH)
    assert "is not finished: it is gone on with" in finished.out


def test_a_switch_that_is_refused_ends_it_with_every_server(master: Master, ssoctl: Ssoctl, arguments: list[str]) -> None:
    """The values stay as they are, and the story says what was done."""
    master.left = 0
    refusal = problem(409, "rotation-refused", conditions=["s1 does not hold it"])
    master.fake.answers["POST /v1/secret/rotation/switch"] = refusal
    finished = ssoctl(*arguments, "--without", "s2")
    assert finished.code == 1
    assert "s1 does not hold it" in finished.err
    assert master.steps()[-1] == "switch"
    assert master.fake.requests[-1].body == {"without": ["s2"]}


def test_values_that_do_not_open_are_named_and_the_exit_code_says_so(master: Master, ssoctl: Ssoctl, arguments: list[str]) -> None:
    """The others are brought over first."""
    master.damaged = [PLACE]
    finished = ssoctl(*arguments)
    assert finished.code == 1
    assert "config a/in, field x does not open" in finished.err
    assert "1 values are under a retired secret still" in finished.err
    assert master.left == 1


def test_the_rotation_is_shown(master: Master, ssoctl: Ssoctl) -> None:
    """What is next, and how much is to be done."""
    master.next = {"key_id": KEY, "created_at": "2026-11-23T10:00:00Z", "backup": None}
    out = ssoctl("secret", "rotation").out
    assert "NO VERIFIED BACKUP YET" in out
    assert "1,500 values" in out


def test_pruning_says_what_goes_and_what_stays_and_asks_first(master: Master, ssoctl: Ssoctl) -> None:
    """With --dry-run it only says so."""
    answer = {"pruned": [OLD_KEY], "kept": [{"key_id": KEY, "reason": "it is young"}]}
    master.fake.answers["POST /v1/secret/prune"] = answer
    assert ssoctl("secret", "prune").code != 0
    assert [request.body["dry_run"] for request in master.fake.requests] == [True]
    dry = ssoctl("secret", "prune", "--dry-run")
    assert f"{OLD_KEY} would be forgotten" in dry.out
    assert f"{KEY} stays: it is young" in dry.out
    done = ssoctl("secret", "prune", "--days", "7", "--keep", "1", "--yes")
    assert f"{OLD_KEY} is forgotten" in done.out
    assert master.fake.requests[-1].body == {"days": 7, "count": 1}
