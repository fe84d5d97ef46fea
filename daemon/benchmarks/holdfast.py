"""Holdfast as it is measured: a master, an ordinary SSO server attached to it, and as many more servers as are wanted."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pki import Authority
from processes import running
from servers import OWN_GROUP, Server, make_ready, wait_for

from ssod.storage.migrations import migrate

FIFTY = Path(__file__).with_name("fifty.py")
APPLICATION = "billing"


def pid_of(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


@dataclass(frozen=True)
class Holdfast:
    root: Path
    authority: Authority
    master: Server
    server: Server

    @contextlib.contextmanager
    def more_servers(self, count: int) -> Iterator[subprocess.Popen[bytes]]:
        """`count` enrolled servers, each with its certificate, waiting on the master from one process that only does that."""
        directory = self.root / "more"
        directory.mkdir()
        self.authority.write(directory / "ca.pem")
        for number in range(count):
            name = f"more{number:02}"
            self.authority.issue(directory, name)
            self.master.ok("PUT", f"/v1/servers/{name}", {"address": f"127.0.0.1:{20000 + number}"})
        attached = directory / "attached"
        command = [sys.executable, str(FIFTY), str(directory), self.master.name, self.master.address, str(attached)]
        with running(command) as process:

            def all_attached() -> bool:
                assert process.poll() is None, "the further servers have ended"
                return attached.exists()

            wait_for(all_attached, f"{count} servers are attached")
            yield process


@contextlib.contextmanager
def started(root: Path) -> Iterator[Holdfast]:
    """m1 is the master and has a backup; s1 may not become master, and is attached."""
    url = f"sqlite:///{root}/sso.db"
    migrate(url)
    authority = Authority()
    with contextlib.ExitStack() as stack:
        servers = []
        for name, may_become_master in (("m1", True), ("s1", False)):
            server = Server(root, authority, name, url, may_become_master=may_become_master)
            stack.callback(server.stop)
            servers.append(server.start())
        master, server = servers
        make_ready(master)
        master.ok("PUT", "/v1/servers/s1", {"address": server.address, "may_become_master": False})
        master.ok(
            "PUT",
            f"/v1/applications/{APPLICATION}",
            {"enabled": True, "users": [OWN_GROUP], "fields": [{"name": "password", "masked": True}]},
        )
        wait_for(lambda: server.status()["can_encrypt"], "s1 is attached")
        yield Holdfast(root, authority, master, server)
