# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client: what becomes absent, what becomes an error, and that the error can be read."""

from __future__ import annotations

import os
import socket
import threading
import typing as t

import pytest
from ansible_collections.holdfast.sso.plugins.module_utils import _ssod
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


@pytest.fixture
def api(rig: Rig) -> _ssod.Ssod:
    return _ssod.Ssod(rig.socket_path)


def test_an_answer_is_a_document(api: _ssod.Ssod) -> None:
    """A call gives the JSON document of the answer."""
    assert api.get("master")["this_server"] == "m1"


@pytest.mark.parametrize("name", ["application-not-found", "config-not-found", "server-not-found"])
def test_a_404_of_a_thing_means_absent(api: _ssod.Ssod, ssod: FakeSsod, name: str) -> None:
    """Only a 404 that names a thing is read as absent."""
    ssod.instead["GET /v1/applications/a"] = Problem(404, name)
    assert api.find("applications", "a") is None


@pytest.mark.parametrize(("status", "name"), [(404, "no-such-path"), (403, "forbidden"), (503, "database-unavailable")])
def test_nothing_else_means_absent(api: _ssod.Ssod, ssod: FakeSsod, status: int, name: str) -> None:
    """A daemon that does not know the path, refuses the caller, or cannot tell is an error, never an absence."""
    ssod.instead["GET /v1/applications/a"] = Problem(status, name)
    with pytest.raises(_ssod.SsodRefusal) as raised:
        api.find("applications", "a")
    assert raised.value.problem == name


def test_names_are_quoted(api: _ssod.Ssod, ssod: FakeSsod) -> None:
    """A name cannot leave its segment of the address."""
    with pytest.raises(_ssod.SsodRefusal):
        api.delete("servers", "../secret?x=/ é", dry_run=True)
    assert ssod.calls == [("DELETE", "/v1/servers/..%2Fsecret%3Fx%3D%2F%20%C3%A9?dry_run=true", None)]


def test_a_refusal_is_one_sentence_with_everything(api: _ssod.Ssod, ssod: FakeSsod) -> None:
    """What and which, every failed condition, and what next are on one line."""
    conditions = ["no keyring", "not a standby."]
    ssod.instead["POST /v1/master/activate"] = Problem(409, "activation-refused", "m2 cannot be active", conditions)
    with pytest.raises(_ssod.SsodRefusal) as raised:
        api.post("master", "activate", body={})
    assert raised.value.sentence() == (
        "m2 cannot be active. (1) no keyring. (2) not a standby. Next: mend activation-refused."
    )
    assert raised.value.tracking_id == "t-1"


def test_a_condition_is_told_once() -> None:
    """A detail that names its conditions is not followed by them."""
    refusal = _ssod.SsodRefusal(409, {"detail": "m2 cannot: no keyring; no disk", "conditions": ["no keyring", "no disk"]})
    assert refusal.sentence() == "m2 cannot: no keyring; no disk."
    assert refusal.conditions == ["no keyring", "no disk"]


def test_a_problem_without_words_still_says_something() -> None:
    """A document with nothing but a status is told by its status."""
    assert _ssod.SsodRefusal(500, {"status": 500}).sentence() == "ssod answered 500."


def test_no_socket_says_what_to_do(tmp_path: t.Any) -> None:
    """A socket that is not there names the path and the next step."""
    with pytest.raises(_ssod.SsodUnreachable) as raised:
        _ssod.Ssod(str(tmp_path / "no.sock")).get("status")
    assert raised.value.sentence() == (
        f"there is no socket {tmp_path / 'no.sock'}. Next: is ssod running on this host? systemctl status ssod."
    )


def test_a_socket_without_a_listener_says_what_to_do(rig: Rig) -> None:
    """A socket file that a stopped daemon left behind is told apart from a missing one."""
    left = os.path.join(os.path.dirname(rig.socket_path), "left.sock")
    stopped = socket.socket(socket.AF_UNIX)
    stopped.bind(left)
    stopped.close()
    with pytest.raises(_ssod.SsodUnreachable, match="nobody listens"):
        _ssod.Ssod(left).get("status")


def test_a_socket_that_one_may_not_open_names_the_user_question() -> None:
    """Permission denied is about the task's user, not about the daemon."""
    error = _ssod._unreachable("/run/ssod/ssod.sock", PermissionError(13, "denied"))
    assert "may not open" in error.detail
    assert "become_user" in error.next_step


def test_a_path_too_long_for_a_socket_is_readable() -> None:
    """Even what the kernel's address cannot hold ends in our own error."""
    with pytest.raises(_ssod.SsodUnreachable, match="cannot be used"):
        _ssod.Ssod("/" + "x" * 200).get("status")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 17\r\n\r\n<html>hello</html",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_another_program_on_the_socket_is_told(rig: Rig, answer: bytes) -> None:
    """An answer outside the contract is an error that does not repeat its content."""
    with speaking(rig, answer) as path, pytest.raises(_ssod.SsodAnswerUnknown) as raised:
        _ssod.Ssod(path).get("status")
    assert "hello" not in raised.value.sentence()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"nonsense\r\n\r\n"])
def test_a_broken_connection_says_that_the_act_may_be_done(rig: Rig, answer: bytes) -> None:
    """After the request was sent, nobody can say that it was not carried out."""
    with speaking(rig, answer) as path, pytest.raises(_ssod.SsodAnswerLost, match="may have been carried out"):
        _ssod.Ssod(path).post("secret", "generate", body={"secret": "canary"})


def test_no_answer_in_time_is_an_error(rig: Rig) -> None:
    """A daemon that accepts and says nothing does not hold the task for ever."""
    path = os.path.join(os.path.dirname(rig.socket_path), "silent.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(_ssod.SsodAnswerLost, match=r"within 0\.05 s"):
            _ssod.Ssod(path).post("master", "activate", body={}, timeout=0.05)


class speaking:
    """Another program on a socket: it reads a request, says what it is told to, and hangs up."""

    def __init__(self, rig: Rig, answer: bytes) -> None:
        self._path = os.path.join(os.path.dirname(rig.socket_path), "other.sock")
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._speak)

    def _speak(self) -> None:
        connection, _unused = self._listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(self._answer)

    def __enter__(self) -> str:
        self._thread.start()
        return self._path

    def __exit__(self, *_unused: t.Any) -> None:
        self._thread.join()
        self._listener.close()
