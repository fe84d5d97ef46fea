"""A program that uses its SSO server all the time, and writes down what it saw. Runs on a test host, as a Unix user.

Every 50 ms it decrypts a value it knows, encrypts a new one, and asks who is master; every second it changes a
configuration. One JSON line a request, with the time it was asked and the time it was answered (seconds since 1970;
test hosts share one clock). It judges nothing: story.py reads the lines.

    probe.py APPLICATION CONTEXT KNOWN-CIPHERTEXT-FILE OUTPUT
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable

SOCKET = "/run/ssod/ssod.sock"
PERIOD = 0.05
TIMEOUT = 5.0


class Connection(http.client.HTTPConnection):
    """HTTP over the unix socket of ssod."""

    def __init__(self) -> None:
        super().__init__("localhost", timeout=TIMEOUT)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(SOCKET)


class Asker:
    """One kept connection, opened anew after a failure."""

    def __init__(self) -> None:
        self._connection: Connection | None = None

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        """Answer (status, document); (0, {"type": why}) when there was no answer."""
        try:
            if self._connection is None:
                self._connection = Connection()
            headers = {"Content-Type": "application/json"} if body is not None else {}
            self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = self._connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection = None
            return 0, {"type": f"{type(error).__name__}: {error}"}


class Probe:
    """Four threads that ask, and one file that they write."""

    def __init__(self, application: str, context: str, known: str, output: str) -> None:
        self._application = application
        self._context = context
        self._known = known
        self._output = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._writing = threading.Lock()
        self._unwritten = b""

    def _write(self, operation: str, asked: float, ok: bool, **more: object) -> None:
        line = {"op": operation, "asked": asked, "answered": time.time(), "ok": ok, **more}
        with self._writing:
            self._unwritten += json.dumps(line).encode() + b"\n"
            # What a full disk does not take now is written when there is space again: a probe sees its fault to the end.
            with contextlib.suppress(OSError):
                self._unwritten = self._unwritten[os.write(self._output, self._unwritten) :]

    def _where(self) -> dict[str, str]:
        return {"application": self._application, "context": self._context}

    def decrypt(self, asker: Asker, _number: int) -> None:
        asked = time.time()
        status, answer = asker.ask("POST", "/v1/decrypt", self._where() | {"ciphertext": self._known})
        right = status == 200 and base64.b64decode(answer["plaintext"]) == b"known"
        self._write("decrypt", asked, right, status=status, problem=answer.get("type"))

    def encrypt(self, asker: Asker, number: int) -> None:
        value = f"{socket.gethostname()} {number}"
        asked = time.time()
        body = self._where() | {"plaintext": base64.b64encode(value.encode()).decode()}
        status, answer = asker.ask("POST", "/v1/encrypt", body)
        if status == 200:
            self._write("encrypt", asked, True, value=value, ciphertext=answer["ciphertext"])
        else:
            problem = {"problem": answer.get("type"), "detail": answer.get("detail"), "next": answer.get("next")}
            self._write("encrypt", asked, False, status=status, **problem)

    def master(self, asker: Asker, _number: int) -> None:
        asked = time.time()
        status, answer = asker.ask("GET", "/v1/master")
        claim = {key: answer.get(key) for key in ("mastership", "master", "epoch")}
        self._write("master", asked, status == 200, **claim)

    def configure(self, asker: Asker, number: int) -> None:
        value = f"{socket.gethostname()} {number}"
        name = f"probe-{socket.gethostname()}"
        asked = time.time()
        path = f"/v1/applications/{self._application}/config/{name}"
        status, answer = asker.ask("PUT", path, {"properties": {"password": value}})
        self._write("configure", asked, status == 200, status=status, value=value, problem=answer.get("type"))

    def _forever(self, act: Callable[[Asker, int], None], period: float) -> None:
        asker, number, due = Asker(), 0, time.monotonic()
        while True:
            act(asker, number)
            number += 1
            due = max(due + period, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))  # until the next question is due

    def run(self) -> None:
        acts = ((self.decrypt, PERIOD), (self.encrypt, PERIOD), (self.master, PERIOD), (self.configure, 1.0))
        threads = [threading.Thread(target=self._forever, args=each, daemon=True) for each in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    with open(arguments[2], encoding="utf-8") as file:
        arguments[2] = file.read().strip()
    Probe(*arguments).run()
