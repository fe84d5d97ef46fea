"""A fake ssod on a real unix socket: it answers what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

LARGEST_BODY = 10_000_000


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Any


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    content_type: str = "application/json"


class HangUp(Exception):
    """Raised by an answer: the connection ends without one."""


Answer = Callable[[Request], Reply]


def problem(status: int, name: str, **members: object) -> Reply:
    document = {
        "type": f"urn:holdfast:problem:{name}",
        "title": f"title of {name}",
        "status": status,
        "detail": f"detail of {name}",
        "next": f"next after {name}",
        "tracking_id": "0123abcd",
        **members,
    }
    return Reply(status, json.dumps(document).encode(), "application/problem+json")


def ok(document: object) -> Reply:
    return Reply(200, json.dumps(document).encode())


@dataclass
class FakeSsod:
    """`answers` maps "METHOD /path?query" to a document, to a Reply, or to a function of the request."""

    socket: Path
    answers: dict[str, object] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        answer = self.answers.get(f"{request.method} {request.path}", problem(404, "no-such-path"))
        if isinstance(answer, Reply):
            return answer
        if callable(answer):
            made = answer(request)
            assert isinstance(made, Reply)
            return made
        return ok(answer)

    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, fake: FakeSsod) -> None:
        """One thread a connection; none is waited for at the end."""
        self.fake = fake
        super().__init__(str(fake.socket), _Handler)

    def handle_error(self, *_: object) -> None:
        """A client that was interrupted takes no answer: nothing to tell."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if length > LARGEST_BODY:
            # As ssod does: an answer, and not one more byte read.
            self._send(problem(413, "body-too-large"))
            self.close_connection = True
            return
        payload = self.rfile.read(length)
        if payload:
            assert self.headers["Content-Type"] == "application/json"
        try:
            reply = self.server.fake.reply(Request(self.command, self.path, json.loads(payload) if payload else None))
        except HangUp:
            self.close_connection = True
            return
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, *_: object) -> None:
        """Tests speak for themselves."""


class running:
    def __init__(self, socket: Path) -> None:
        self._fake = FakeSsod(socket)
        self._server = _Server(self._fake)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)

    def __enter__(self) -> FakeSsod:
        self._thread.start()
        return self._fake

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
