"""A real sshd for tunnels: Debian's, on a port of localhost, with keys of the tests' own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from postgres import free_port
from waiting import wait_for

SSHD = "/usr/sbin/sshd"


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A program that listens on a port, until the end."""
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        wait_for(lambda: process.poll() is not None or _listens(port), f"{command[0]} listens")
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def tunnel(directory: Path, user: str, to: int) -> Iterator[int]:
    """The port of a tunnel, by `ssh -L`, that a user of this host has to a port of its localhost."""
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd shuts itself in, which systemd makes otherwise
    for name in ("host", "user"):
        subprocess.run(["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)], check=True)
    authorized = directory / "user.pub"
    authorized.chmod(0o644)
    directory.chmod(0o711)  # sshd reads the key as the user
    port, ours = free_port(), free_port()
    configuration = directory / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile none\n"
        f"AuthorizedKeysFile {authorized}\nStrictModes no\n"
    )
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes"]
    client = ["/usr/bin/ssh", "-F", "/dev/null", "-N", "-i", str(directory / "user"), "-p", str(port), *options]
    log = directory / "ssh.log"
    with (
        _running([SSHD, "-D", "-e", "-f", str(configuration)], port, log),
        _running([*client, "-L", f"127.0.0.1:{ours}:127.0.0.1:{to}", f"{user}@127.0.0.1"], ours, log),
    ):
        yield ours
