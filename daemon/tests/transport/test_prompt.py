"""One value is answered at once, without a task of its own; whatever does not fit that goes the ordinary way, and is served too."""

from __future__ import annotations

import base64
import json
import socket

import pytest
from servers import Server

VALUE = json.dumps({"application": "app", "context": "c", "plaintext": base64.b64encode(b"value").decode()}).encode()


def request(path: str, body: bytes, *more: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body)}", *more]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n"


def exchange(server: Server, *parts: bytes, answers: int = 1) -> bytes:
    """What comes back until there are so many answers, or the server ends the connection."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(server.socket)
        for part in parts:
            connection.sendall(part)
        received = b""
        while received.count(b"HTTP/1.1 ") < answers or not received.endswith(b"}"):
            part = connection.recv(65536)
            if not part:
                break
            received += part
        return received


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        pytest.param([request("/v1/encrypt", VALUE)], 1, id="as one piece"),
        pytest.param([request("/v1/encrypt", VALUE)[at : at + 7] for at in range(0, 300, 7)], 1, id="in small pieces"),
        pytest.param([chunked("/v1/encrypt", VALUE)], 1, id="in chunks"),
        pytest.param([request("/v1/encrypt", VALUE) * 3], 3, id="three at once"),
        pytest.param([request("/v1/selftest", b"{}") + request("/v1/encrypt", VALUE)], 2, id="behind an ordinary one"),
        pytest.param([request("/v1/encrypt", VALUE) + request("/v1/selftest", b"{}")], 2, id="before an ordinary one"),
        pytest.param([request("/v1/encrypt", VALUE, "Connection: close")], 1, id="the last one"),
        pytest.param([request("/v1/encrypt", VALUE, "Expect: 100-continue")], 2, id="after a continue"),
        pytest.param([request("/v1/encrypt", VALUE, version="1.0")], 1, id="HTTP/1.0"),
        pytest.param([request("/v1/encrypt", VALUE[:-1] + b" " * 100_000 + b"}")], 1, id="with a large body"),
    ],
)
def test_a_value_is_served_however_its_request_comes(m1: Server, sent: list[bytes], answers: int) -> None:
    """Every framing of HTTP gets its answers, in order, and each ciphertext opens."""
    received = exchange(m1, *sent, answers=answers)
    assert received.count(b" 200 OK") == received.count(b"HTTP/1.1 ") - received.count(b" 100 Continue")
    ciphertexts = [json.loads(b"{" + part.partition(b"}")[0] + b"}") for part in received.split(b"\r\n\r\n{")[1:]]
    opened = [m1.decrypt(each["ciphertext"], context="c") for each in ciphertexts if "ciphertext" in each]
    assert opened
    assert set(opened) == {b"value"}


def test_a_refusal_comes_at_once_and_the_connection_goes_on(m1: Server) -> None:
    """A problem document is an answer like another."""
    bad = request("/v1/encrypt", b"{}")
    received = exchange(m1, bad + request("/v1/encrypt", VALUE), answers=2)
    assert received.count(b"HTTP/1.1 400 Bad Request") == 1
    assert received.count(b"HTTP/1.1 200 OK") == 1


def test_an_unknown_application_is_looked_for_first(m1: Server) -> None:
    """What has to wait goes the ordinary way: the database is asked, and then it is absent."""
    body = VALUE.replace(b'"app"', b'"nobody-knows"')
    assert b"application-not-found" in exchange(m1, request("/v1/encrypt", body))
