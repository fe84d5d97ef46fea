"""Every way to end other than well: its exit code, its lines, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, HangUp, Reply, Request, problem
from ssoctl_harness import Ssoctl, master_document

from ssod.cli.exit_codes import MEANINGS

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "ssoctl.md"


@pytest.mark.parametrize(
    ("status", "name", "code"),
    [
        (400, "malformed-request", 2),
        (403, "forbidden", 3),
        (403, "unknown-caller", 3),
        (404, "server-not-found", 4),
        (404, "no-such-path", 2),
        (405, "method-not-allowed", 2),
        (409, "stale-epoch", 1),
        (413, "body-too-large", 2),
        (422, "wrong-passphrase", 1),
        (500, "internal", 1),
        (503, "master-lost", 5),
    ],
)
def test_each_status_has_its_exit_code(fake: FakeSsod, ssoctl: Ssoctl, status: int, name: str, code: int) -> None:
    fake.answers["GET /v1/servers"] = problem(status, name)
    finished = ssoctl("servers", "list")
    assert finished.code == code
    assert finished.out == ""
    assert finished.err == (f"ssoctl: title of {name}: detail of {name}\n  next: next after {name}\n  tracking id: 0123abcd\n")


def test_every_failed_condition_is_a_line(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/activate"] = problem(409, "activation-refused", conditions=["one", "two"])
    finished = ssoctl("master", "activate")
    assert finished.code == 1
    assert "\n  - one\n  - two\n" in finished.err


def test_a_problem_with_nothing_but_a_title_is_shown(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/master"] = Reply(503, b'{"title": "no", "detail": null, "next": null, "conditions": null}')
    finished = ssoctl("master", "status")
    assert (finished.code, finished.err) == (5, "ssoctl: no\n")


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"<html>"), Reply(200, b'{"servers": 3}'), Reply(502, b"<html>"), Reply(302, b"{}")],
    ids=["not json", "another shape", "not a problem document", "a redirect"],
)
def test_what_is_not_ssod_is_as_good_as_unreachable(fake: FakeSsod, ssoctl: Ssoctl, reply: Reply) -> None:
    fake.answers["GET /v1/servers"] = reply
    finished = ssoctl("servers", "list")
    assert finished.code == 6
    assert "one version" in finished.err


def test_a_title_is_not_said_twice(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/master"] = problem(422, "x", detail="title of x", next=None, tracking_id=None)
    assert ssoctl("master", "status").err == "ssoctl: title of x\n"


def test_a_body_that_is_too_large_is_told_although_ssod_stopped_reading(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    finished = ssoctl("encrypt", "billing", "users/7", stdin=bytes(20_000_000))
    assert finished.code == 2
    assert "body-too-large" in finished.err


def test_a_lost_read_is_simply_lost(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/servers"] = hang_up
    finished = ssoctl("servers", "list")
    assert finished.code == 6
    assert "perhaps" not in finished.err


def test_a_lost_act_was_perhaps_done_and_the_line_says_how_to_look(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/master/activate"] = hang_up
    finished = ssoctl("master", "activate")
    assert finished.code == 6
    assert "perhaps done: this server was made the master" in finished.err
    assert "look with: ssoctl master status" in finished.err


def test_a_socket_that_nobody_listens_on_is_exit_code_6(ssoctl: Ssoctl) -> None:
    ssoctl.socket.write_text("")
    assert ssoctl("status").code == 6


def test_a_socket_that_this_user_may_not_open_is_exit_code_3(ssoctl: Ssoctl) -> None:
    ssoctl.socket.touch(mode=0)
    child = os.fork()
    if child == 0:
        # root may open everything: the child becomes somebody who may not.
        if os.geteuid() == 0:
            os.setuid(65534)
        os._exit(ssoctl("status").code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_path_that_no_socket_can_have_is_usage(ssoctl: Ssoctl) -> None:
    assert ssoctl("--socket", "/" + "x" * 200, "status").code == 2


def test_the_socket_can_come_from_the_environment(fake: FakeSsod, ssoctl: Ssoctl, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssod.cli.main import run

    fake.answers["GET /v1/master"] = master_document()
    monkeypatch.setenv("SSOD_SOCKET", str(fake.socket))
    assert run(["master", "status"]) == 0


def test_a_word_that_is_no_command_is_usage(ssoctl: Ssoctl) -> None:
    assert ssoctl("nonsense").code == 2


def test_help_and_the_documentation_tell_every_exit_code(ssoctl: Ssoctl) -> None:
    help_lines = [line.strip() for line in ssoctl("--help").out.splitlines()]
    documentation = DOCUMENTATION.read_text(encoding="utf-8")
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in help_lines
        assert f"| {code.value} | {meaning} |" in documentation


def hang_up(_: Request) -> Reply:
    raise HangUp
