"""What the cluster waits for: `ssoctl master fitness`, four lines, and to take or leave the role of master, one; quickly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, Reply, problem
from ssoctl_harness import Ssoctl

from ssod.cli.lean import COMMANDS, DEFAULT_SOCKET, Command, asked

FIT = {"mastership": "passive", "mandate": False, "score": 100, "reason": ""}
TAKEN = {"changed": True, "epoch": 3, "master": "m2", "servers": []}
LEFT = {"changed": True, "epoch": 3, "recorded": True}
UNFIT = {"mastership": "unconfirmed", "mandate": True, "score": 0, "reason": "its certificate\nexpired; \x1b[31mno keyring"}


def test_it_prints_one_value_a_line(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/master/fitness"] = FIT
    finished = ssoctl("master", "fitness")
    assert (finished.code, finished.out, finished.err) == (0, "mastership=passive\nmandate=no\nscore=100\nreason=\n", "")


def test_a_reason_stays_on_its_line(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    """An answer is an answer: the exit code does not depend on the score."""
    fake.answers["GET /v1/master/fitness"] = UNFIT
    finished = ssoctl("master", "fitness")
    assert finished.code == 0
    lines = ["mastership=unconfirmed", "mandate=yes", "score=0", "reason=its certificate expired;  [31mno keyring"]
    assert finished.out.splitlines() == lines


def test_json_is_the_document(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/master/fitness"] = FIT
    assert json.loads(ssoctl("master", "fitness", "--json").out) == FIT


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_process_of_its_own_loads_nothing_that_takes_long(fake: FakeSsod, ssoctl: Ssoctl, words: tuple[str, ...]) -> None:
    """The cluster looks every few seconds on every member; and while it moves the master, nothing is encrypted."""
    fake.answers |= {"GET /v1/master/fitness": FIT, "POST /v1/master/activate": TAKEN, "POST /v1/master/deactivate": LEFT}
    command = [sys.executable, "-X", "importtime", *ssoctl.command(*words)[1:]]
    finished = subprocess.run(command, env=ssoctl.environment, capture_output=True, text=True, check=True)
    assert finished.stdout
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()}
    assert "json" in loaded
    assert not loaded & {"typer", "rich", "msgspec", "http", "asyncio", "cryptography", "click"}


@pytest.mark.parametrize("answer", [Reply(200, b"no json"), Reply(200, b"{}"), Reply(200, b"[]")])
def test_what_is_not_ssod_cannot_be_asked(fake: FakeSsod, ssoctl: Ssoctl, answer: Reply) -> None:
    fake.answers["GET /v1/master/fitness"] = answer
    finished = ssoctl("master", "fitness")
    assert (finished.code, finished.out) == (6, "")
    assert str(ssoctl.socket) in finished.err


def test_an_ssod_that_does_not_know_it_is_refused(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/master/fitness"] = problem(404, "no-such-path")
    assert ssoctl("master", "fitness").code == 2


def test_without_ssod_it_is_exit_code_6(ssoctl: Ssoctl, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ssod.cli", "--socket", str(tmp_path / "absent"), "master", "fitness"]
    finished = subprocess.run(command, env=ssoctl.environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 6
    assert "systemctl status ssod" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["master", "fitness"], (DEFAULT_SOCKET, COMMANDS["master", "fitness"])),
        (["--socket", "/s", "master", "fitness", "--json"], ("/s", COMMANDS["master", "fitness", "--json"])),
        (["--socket=/s", "master", "activate", "--brief"], ("/s", COMMANDS["master", "activate", "--brief"])),
        (["master", "fitness", "--help"], None),
        (["master", "activate"], None),
        (["master", "deactivate", "--brief"], None),
        (["master", "status"], None),
        (["--socket"], None),
        ([], None),
    ],
)
def test_only_these_commands_are_taken_from_the_others(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], found: tuple[str, Command] | None
) -> None:
    monkeypatch.delenv("SSOD_SOCKET", raising=False)
    assert asked(arguments) == found


def test_the_socket_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSOD_SOCKET", "/elsewhere")
    assert asked(["master", "fitness"]) == ("/elsewhere", COMMANDS["master", "fitness"])


ACTS = [words for words in COMMANDS if "--brief" in words]


def test_an_act_is_said_in_the_words_of_the_whole_command(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {"POST /v1/master/activate": TAKEN, "POST /v1/master/deactivate": LEFT}
    for words in ACTS:
        whole = [word for word in words if word != "--brief"]
        assert _alone(ssoctl, *words) == _alone(ssoctl, *whole)


def test_a_deactivation_that_the_database_does_not_know_of_is_said(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/deactivate"] = LEFT | {"recorded": False}
    code, out, err = _alone(ssoctl, "master", "deactivate", "--yes", "--brief")
    assert (code, out) == (0, "this server has left the role of master, epoch 3\n")
    assert "may have to wait for 6 s" in err


@pytest.mark.parametrize("words", ACTS, ids=" ".join)
def test_a_refused_act_is_explained_as_by_the_whole_command_and_was_asked_once(
    fake: FakeSsod, ssoctl: Ssoctl, words: tuple[str, ...]
) -> None:
    fake.answers[f"POST /v1/master/{words[1]}"] = problem(409, "activation-refused", conditions=["no backup"])
    code, out, err = _alone(ssoctl, *words)
    assert len(fake.requests) == 1
    assert (code, out) == (1, "") and "  - no backup\n" in err and "  next: next after activation-refused\n" in err
    assert (code, out, err) == _alone(ssoctl, *(word for word in words if word != "--brief"))


@pytest.mark.parametrize("words", ACTS, ids=" ".join)
@pytest.mark.parametrize("answer", [Reply(200, b"no json"), Reply(200, b"{}")])
def test_an_act_with_an_answer_that_is_none_may_have_been_done(
    fake: FakeSsod, ssoctl: Ssoctl, words: tuple[str, ...], answer: Reply
) -> None:
    fake.answers[f"POST /v1/master/{words[1]}"] = answer
    code, out, err = _alone(ssoctl, *words)
    assert (code, out) == (6, "") and "whether it was done says `ssoctl master status`" in err


def _alone(ssoctl: Ssoctl, *words: str) -> tuple[int, str, str]:
    """In a process of its own, which begins where `ssoctl` does: exit code, output and errors."""
    finished = subprocess.run(ssoctl.command(*words), env=ssoctl.environment, capture_output=True, text=True, check=False)
    return finished.returncode, finished.stdout, finished.stderr
