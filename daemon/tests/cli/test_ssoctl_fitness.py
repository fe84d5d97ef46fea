"""`ssoctl master fitness`, which the cluster reads: four lines, quickly; its exit code says only whether ssod answered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, Reply, problem
from ssoctl_harness import Ssoctl

from ssod.cli.fitness import DEFAULT_SOCKET, is_asked

FIT = {"mastership": "passive", "mandate": False, "score": 100, "reason": ""}
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


def test_a_process_of_its_own_loads_nothing_that_takes_long(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    """The cluster runs it every few seconds on every member."""
    fake.answers["GET /v1/master/fitness"] = FIT
    command = [sys.executable, "-X", "importtime", *ssoctl.command("master", "fitness")[1:]]
    finished = subprocess.run(command, env=ssoctl.environment, capture_output=True, text=True, check=True)
    assert finished.stdout.startswith("mastership=passive\n")
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
    assert ssoctl("master", "fitness").code == 1


def test_without_ssod_it_is_exit_code_6(ssoctl: Ssoctl, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ssod.cli", "--socket", str(tmp_path / "absent"), "master", "fitness"]
    finished = subprocess.run(command, env=ssoctl.environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 6
    assert "systemctl status ssod" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["master", "fitness"], (DEFAULT_SOCKET, False)),
        (["--socket", "/s", "master", "fitness", "--json"], ("/s", True)),
        (["--socket=/s", "master", "fitness"], ("/s", False)),
        (["master", "fitness", "--help"], None),
        (["master", "status"], None),
        (["--socket"], None),
        ([], None),
    ],
)
def test_only_this_command_is_taken_from_the_others(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], asked: tuple[str, bool] | None
) -> None:
    monkeypatch.delenv("SSOD_SOCKET", raising=False)
    assert is_asked(arguments) == asked


def test_the_socket_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSOD_SOCKET", "/elsewhere")
    assert is_asked(["master", "fitness"]) == ("/elsewhere", False)
