"""Real ssod processes for the tests: each with a configuration, certificates and a socket of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pki import Authority

PASSPHRASE = "correct horse battery staple"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float = 30.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Any, what: str, seconds: float = 20.0) -> Any:
    """The condition's first true value; fails, naming what, after the limit."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)  # between two looks at a condition
    raise AssertionError(f"not within {seconds} s: {what}")


class Server:
    def __init__(
        self, root: Path, authority: Authority, name: str, database_url: str, *, may_become_master: bool = True, refresh: float = 60
    ) -> None:
        self.name = name
        self.root = root / name
        self.root.mkdir()
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        # A unix socket's path has 108 bytes at most, and pytest's directories are long.
        self.socket = f"/tmp/ssod-test-{os.getpid()}-{self.port}.sock"
        self.audit = self.root / "audit.log"
        ca = authority.write(self.root / "ca.pem")
        certificate, key = authority.issue(self.root, name)
        group = subprocess.run(["id", "-gn"], check=True, capture_output=True, text=True).stdout.strip()
        self.config = self.root / "ssod.toml"
        self.config.write_text(
            f"""
[server]
name = "{name}"
address = "{self.address}"
listen = "{self.address}"
may_become_master = {str(may_become_master).lower()}
state_directory = "{self.root}"
socket = "{self.socket}"
[database]
url = "{database_url}"
[tls]
certificate = "{certificate}"
key = "{key}"
ca = "{ca}"
[master]
refresh_interval = {refresh}
[sealing]
provider = "file"
[access]
sso_administrators = ["group:{group}"]
[audit]
file = "{self.audit}"
"""
        )
        self.log = self.root / "ssod.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Server:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ssod.runtime.main", "--config", str(self.config)], stderr=log, stdout=log
            )
        if wait:
            wait_for(self.answers, f"{self.name} answers; its log:\n{self.log.read_text()}")
        return self

    def answers(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.log.read_text()
        try:
            return self.call("GET", "/v1/health")[0] in (200, 503)
        except OSError:
            return False

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        Path(self.socket).unlink(missing_ok=True)
        return code

    def call(self, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> tuple[int, Any]:
        """(status, document)."""
        connection = UnixConnection(self.socket, timeout)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = response.read()
            json_type = "json" in (response.getheader("Content-Type") or "")
            return response.status, json.loads(content) if json_type and content else content
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, document = self.call(method, path, body)
        assert status == 200, (self.name, method, path, status, document)
        return document

    def enrol(self) -> None:
        self.ok("PUT", f"/v1/servers/{quote(self.name)}", {"address": self.address, "may_become_master": True})

    def status(self) -> Any:
        return self.ok("GET", "/v1/status")["server"]


def make_ready(server: Server) -> bytes:
    """Makes `server` the master of a new environment with a secret, backed up; returns the backup."""
    import base64

    server.enrol()
    server.ok("POST", "/v1/master/activate", {})
    server.ok("POST", "/v1/secret/generate", {})
    backup = server.ok("POST", "/v1/secret/backup", {"passphrase": PASSPHRASE})["backup"]
    server.ok("POST", "/v1/secret/backup/verify", {"backup": backup, "passphrase": PASSPHRASE, "place": "test"})
    return base64.b64decode(backup)
