"""What the clients make of a server that does not answer as it should: one repetition where it does no harm, else an error."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import ssod.errors
from ssod import client as c
from ssod.client import errors

OK = {
    "ciphertext": "hf1.x",
    "application": "a",
    "principal": "user:p",
    "external_id": "e",
    "credentials": {"k": "v"},
    "key_id": "1",
}


def http(document: object, status: int = 200, headers: str = "") -> bytes:
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


class Scripted:
    """Each connection answers its requests by a list of bytes, and is closed after the last; `None` closes without an answer."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.script: list[list[bytes | None]] = []
        self.connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            answers = self.script[self.connections]
            self.connections += 1
            with connection:
                for answer in answers:
                    if not self._take(connection) or answer is None:
                        break
                    connection.sendall(answer)

    @staticmethod
    def _take(connection: socket.socket) -> bool:
        """Takes one whole request; False when there is none any more."""
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return False
            head += part
        head, _, body = head.partition(b"\r\n\r\n")
        (length,) = re.findall(rb"Content-Length: (\d+)", head)
        while len(body) < int(length):
            body += connection.recv(65536)
        return True

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    made = Scripted(tmp_path / "s")
    yield made
    made.close()


Story = Callable[[Scripted, list[tuple[str, tuple[Any, ...]]]], list[object]]


def blocking(scripted: Scripted, questions: list[tuple[str, tuple[Any, ...]]]) -> list[object]:
    client, outcomes = c.Client(scripted.path, timeout=5), []
    for name, arguments in questions:
        try:
            outcomes.append(getattr(client, name)(*arguments))
        except c.HoldfastError as error:
            outcomes.append(error)
    client.close()
    return outcomes


def asynchronous(scripted: Scripted, questions: list[tuple[str, tuple[Any, ...]]]) -> list[object]:
    async def story() -> list[object]:
        client, outcomes = c.AsyncClient(scripted.path, timeout=5), []
        for name, arguments in questions:
            try:
                outcomes.append(await getattr(client, name)(*arguments))
            except c.HoldfastError as error:
                outcomes.append(error)
        await client.close()
        return outcomes

    return asyncio.run(story())


@pytest.fixture(params=[blocking, asynchronous])
def ask(request: pytest.FixtureRequest) -> Story:
    return request.param  # type: ignore[no-any-return]


ENCRYPT = ("encrypt", ("a", "c", b""))
REDEEM = ("redeem_ticket", ("a", "hft1.x"))


def test_one_connection_serves_all_questions(scripted: Scripted, ask: Story) -> None:
    """It is made with the first."""
    scripted.script = [[http(OK)] * 3]
    assert ask(scripted, [ENCRYPT] * 3) == ["hf1.x"] * 3
    assert scripted.connections == 1


def test_a_connection_that_was_closed_is_made_anew_once(scripted: Scripted, ask: Story) -> None:
    """The question is sent again, and answered."""
    scripted.script = [[http(OK), None], [http(OK)]]
    assert ask(scripted, [ENCRYPT] * 2) == ["hf1.x"] * 2
    assert scripted.connections == 2


def test_a_new_connection_that_is_closed_is_not_tried_again(scripted: Scripted, ask: Story) -> None:
    """The request may have been carried out: the error says so."""
    scripted.script = [[None], [http(OK)]]
    (lost,) = ask(scripted, [ENCRYPT])
    assert isinstance(lost, c.Unreachable)
    assert lost.perhaps_done
    assert scripted.connections == 1


def test_a_ticket_is_never_redeemed_twice(scripted: Scripted, ask: Story) -> None:
    """It goes on a new connection, which is not one that may just be closing."""
    scripted.script = [[http(OK), http(OK)], [http(OK)], [None]]
    outcomes = ask(scripted, [ENCRYPT, REDEEM, REDEEM])
    assert [type(each).__name__ for each in outcomes] == ["str", "Credentials", "Unreachable"]
    assert scripted.connections == 3
    assert "'v'" not in repr(outcomes[1])


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-nothing\r\n\r\n",
        http([]),
        http({"ciphertexts": []}),
        b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\n{]",
        b"HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\noops",
        http([], 404),
        http({"type": 1}, 404),
    ],
)
def test_what_is_no_answer_of_ssod_s_is_an_error_of_ours(scripted: Scripted, ask: Story, answer: bytes) -> None:
    """Never another exception, and the next question has a connection of its own where the last one was not whole."""
    scripted.script = [[answer, http(OK)], [http(OK)]]
    first, second = ask(scripted, [ENCRYPT, ENCRYPT])
    assert isinstance(first, c.NotUnderstood | c.Unreachable)
    assert second == "hf1.x"


def test_an_answer_that_breaks_off_is_lost(scripted: Scripted, ask: Story) -> None:
    """Nothing is made of the part that came."""
    scripted.script = [[http(OK)[:-4]], [http(OK)]]
    first, second = ask(scripted, [ENCRYPT, ENCRYPT])
    assert isinstance(first, c.Unreachable)
    assert first.perhaps_done
    assert second == "hf1.x"


def test_no_answer_is_waited_for_within_a_limit(tmp_path: Path) -> None:
    """And is not asked for again."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(c.Unreachable):
            c.Client(str(tmp_path / "silent"), timeout=0.1).encrypt("a", "c", b"")

        async def story() -> None:
            with pytest.raises(c.Unreachable):
                await c.AsyncClient(str(tmp_path / "silent"), timeout=0.1).encrypt("a", "c", b"")

        asyncio.run(story())


def test_every_name_of_the_client_is_one_of_ssod_s() -> None:
    """With the same status; and each of its exceptions is exported."""

    def all_of(kind: type[Any]) -> Iterator[type[Any]]:
        yield kind
        for child in kind.__subclasses__():
            yield from all_of(child)

    published = {kind.problem: kind.status for kind in all_of(ssod.errors.SsodError)}
    for kind in all_of(c.HoldfastError):
        assert getattr(c, kind.__name__) is kind
        name = getattr(kind, "name", "")
        if not name:
            continue
        body = json.dumps({"type": f"urn:holdfast:problem:{name}", "title": "t", "detail": "d"}).encode()
        assert type(errors.problem_in(published[name], body)) is kind
        unknown = errors.problem_in(published[name], body.replace(name.encode(), b"of-a-later-version"))
        assert isinstance(kind(detail="", problem="", status=0), type(unknown))


def test_it_needs_nothing_but_the_standard_library() -> None:
    """So that a program can carry a copy."""
    import ast
    import sys

    directory = Path(c.__file__).parent
    for path in directory.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert all(name.split(".")[0] in sys.stdlib_module_names for name in names), path
