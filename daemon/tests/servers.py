"""Real ssod processes for the tests: each with a configuration, certificates and a socket of its own."""

from __future__ import annotations

import base64
import grp
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyrage
from described import check_answer
from pki import Authority
from postgres import free_port
from waiting import wait_for

# The group that the tests run as: what they ask at the socket, they ask as its member.
OWN_GROUP = f"group:{grp.getgrgid(os.getgid()).gr_name}"

# Opens the backups that `make_ready` makes: for a key and not for a passphrase, whose derivation takes seconds by design.
IDENTITY = pyrage.x25519.Identity.generate()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float = 30.0) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def client_context(ca: Path, files: tuple[Path, Path] | None) -> ssl.SSLContext:
    """A client that trusts `ca` and shows `files` (certificate, key)."""
    context = ssl.create_default_context(cafile=str(ca))
    if files is not None:
        context.load_cert_chain(*files)
    return context


class _NamedConnection(http.client.HTTPSConnection):
    """Connects to 127.0.0.1 and asks for the certificate of a server's name."""

    def __init__(self, port: int, name: str, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__("127.0.0.1", port, context=context, timeout=timeout)
        self._server, self._tls = name, context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self._server)
        except BaseException:
            plain.close()
            raise


class Server:
    # What Python is told to run.
    program: tuple[str, ...] = ("-m", "ssod.runtime.main")

    def __init__(
        self,
        root: Path,
        authority: Authority,
        name: str,
        database_url: str,
        *,
        may_become_master: bool = True,
        refresh: float = 60,
        administrators: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.root = root / name
        self.root.mkdir()
        self.authority = authority
        self.may_become_master = may_become_master
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        # A unix socket's path has 108 bytes at most, and pytest's directories are long.
        self.socket = f"/tmp/ssod-test-{os.getpid()}-{self.port}.sock"
        self.credentials_socket = f"/tmp/ssod-test-{os.getpid()}-{self.port}-credentials.sock"
        self.audit = self.root / "audit.log"
        self.ca = authority.write(self.root / "ca.pem")
        self.files = authority.issue(self.root, name)
        self.sealed = self.root / "keyring.sealed"
        everybody = [OWN_GROUP, *administrators]
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
credentials_socket = "{self.credentials_socket}"
[database]
url = "{database_url}"
[tls]
certificate = "{self.files[0]}"
key = "{self.files[1]}"
ca = "{self.ca}"
[master]
refresh_interval = {refresh}
[sealing]
provider = "file"
[access]
sso_administrators = {json.dumps(everybody)}
[audit]
file = "{self.audit}"
"""
        )
        self.log = self.root / "ssod.log"
        # What systemd would give it.
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, section: str, lines: str) -> None:
        """Another section in place of the one of this name, from the next start on."""
        before, _, rest = self.config.read_text().partition(f"[{section}]\n")
        self.config.write_text(f"{before}[{section}]\n{lines}\n[{rest.partition('[')[2]}")

    def start(self, *, wait: bool = True) -> Server:
        with self.log.open("ab") as log:
            command = [sys.executable, *self.program, "--config", str(self.config)]
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=os.environ | self.environment)
        if wait:
            self.wait_until_it_answers()
        return self

    def wait_until_it_answers(self) -> None:
        wait_for(self.answers, f"{self.name} answers")

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
            self.process.send_signal(number)
            self.process.send_signal(signal.SIGCONT)
        code = self.process.wait(30)
        self.process = None
        for path in (self.socket, self.credentials_socket):
            Path(path).unlink(missing_ok=True)
        return code

    def connection(
        self, files: tuple[Path, Path] | None = None, *, timeout: float = 30.0, ca: Path | None = None
    ) -> http.client.HTTPConnection:
        """Over mutual TLS with this certificate and key; without any, over the unix socket. `ca` is trusted, or what it trusts."""
        if files is None:
            return UnixConnection(self.socket, timeout)
        return _NamedConnection(self.port, self.name, client_context(ca or self.ca, files), timeout)

    def exchange(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        files: tuple[Path, Path] | None = None,
        timeout: float = 30.0,
        ca: Path | None = None,
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request on a connection of its own: the answer, and its body."""
        connection = self.connection(files, timeout=timeout, ca=ca)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def call(
        self, method: str, path: str, body: Any = None, *, files: tuple[Path, Path] | None = None, timeout: float = 30.0
    ) -> tuple[int, Any]:
        """(status, document); fails for an answer that is not as the API is described."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        content = json.dumps(body).encode() if body is not None else None
        response, answer = self.exchange(method, path, content, headers, files=files, timeout=timeout)
        if "json" not in (response.getheader("Content-Type") or "") or not answer:
            return response.status, answer
        answered = json.loads(answer)
        check_answer(method, path, response.status, answered)
        return response.status, answered

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, document = self.call(method, path, body)
        assert status == 200, (self.name, method, path, status, document)
        return document

    def refused(self, method: str, path: str, body: Any = None) -> Any:
        """The problem document of a refusal, with `type` cut to its name."""
        status, document = self.call(method, path, body)
        assert status >= 400, (self.name, method, path, status, document)
        assert document["status"] == status
        return document | {"type": document["type"].removeprefix("urn:holdfast:problem:")}

    def enrol(self) -> None:
        self.ok("PUT", f"/v1/servers/{quote(self.name)}", {"address": self.address, "may_become_master": self.may_become_master})

    def status(self) -> Any:
        return self.ok("GET", "/v1/status")["server"]

    def encrypt(self, value: bytes, context: str = "context") -> str:
        body = {"application": "app", "context": context, "plaintext": base64.b64encode(value).decode()}
        return str(self.ok("POST", "/v1/encrypt", body)["ciphertext"])

    def decrypt(self, ciphertext: str, context: str = "context") -> bytes:
        body = {"application": "app", "context": context, "ciphertext": ciphertext}
        return base64.b64decode(self.ok("POST", "/v1/decrypt", body)["plaintext"])


def back_up(server: Server) -> bytes:
    """A verified backup of what `server` holds; IDENTITY opens it."""
    backup = server.ok("POST", "/v1/secret/backup", {"recipients": [str(IDENTITY.to_public())]})["backup"]
    server.ok("POST", "/v1/secret/backup/verify", {"backup": backup, "identity": str(IDENTITY), "place": "test"})
    return base64.b64decode(backup)


def make_ready(server: Server) -> bytes:
    """Makes `server` the master of a new environment with a secret, backed up; returns the backup."""
    server.enrol()
    server.ok("POST", "/v1/master/activate", {})
    server.ok("POST", "/v1/secret/generate", {})
    return back_up(server)


FIELDS = [{"name": "host"}, {"name": "password", "masked": True}]


class Fleet:
    """Servers of one environment on one database. The first is its master, with a secret that is backed up and `app`."""

    kind = Server

    def __init__(self, root: Path, authority: Authority, database_url: str) -> None:
        self.root = root
        self.authority = authority
        self.url = database_url
        self.servers: list[Server] = []
        self.backup = b""

    def add(self, *names: str, **options: Any) -> None:
        """Makes servers; a name that begins with s is that of a plain one, which may not become master."""
        for name in names:
            self.servers.append(
                self.kind(self.root, self.authority, name, self.url, may_become_master=not name.startswith("s"), **options)
            )

    def make_ready(self) -> None:
        for server in self.servers:
            server.start(wait=False)
        for server in self.servers:
            server.wait_until_it_answers()
        self.backup = make_ready(self.servers[0])
        self.servers[0].ok("PUT", "/v1/applications/app", {"enabled": True, "users": [OWN_GROUP], "fields": FIELDS})
        for server in self.servers[1:]:
            server.enrol()
            wait_for(lambda server=server: server.status()["can_encrypt"], f"{server.name} can encrypt")

    def __getitem__(self, name: str) -> Server:
        return next(server for server in self.servers if server.name == name)

    def stop(self) -> None:
        for server in self.servers:
            server.stop(signal.SIGKILL)
