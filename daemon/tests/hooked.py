"""A real HTTP listener in the place of whoever is told of events: it keeps what it is told, and answers as a test says."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from waiting import wait_for


class Listener:
    """`statuses` are those of its next answers; after them it answers 200. While `held` it answers nobody."""

    def __init__(self, server: ThreadingHTTPServer, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/events?of=holdfast"
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.released = threading.Event()
        self.released.set()

    @property
    def messages(self) -> list[Any]:
        return [json.loads(body) for body in self.bodies]

    def told(self, event: str, status: str) -> list[Any]:
        return [each for each in self.messages if (each["commonLabels"]["alertname"], each["status"]) == (event, status)]

    def wait_for(self, event: str, status: str, seconds: float = 60.0) -> Any:
        return wait_for(lambda: self.told(event, status), f"{event} is {status}", seconds)[0]


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            listener.headers.append({name.lower(): value for name, value in self.headers.items()})
            listener.paths.append(self.path)
            listener.bodies.append(body)
            listener.released.wait()
            status = listener.statuses.pop(0) if listener.statuses else 200
            try:
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:  # whoever asked has given up
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Nothing: the test says what it missed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    listener = Listener(server, "http" if context is None else "https")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        listener.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
