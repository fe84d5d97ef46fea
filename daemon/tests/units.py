"""Plays systemd for the tests: asks for a credential from inside of a unit's control group, as its child does."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Where control groups with names live: those of version 1 that systemd uses, or the one tree of version 2.
HIERARCHIES = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup")]

_ASK = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(30)
connection.bind(sys.argv[2].encode().replace(b"@", b"\\0", 1))
connection.connect(sys.argv[1])
connection.shutdown(socket.SHUT_WR)
received = b""
while len(received) <= 1 << 20 and (part := connection.recv(65536)):
    received += part
sys.stdout.buffer.write(received)
"""
# systemd refuses a credential of more bytes.
LARGEST = 1 << 20


def hierarchy() -> Path | None:
    """Where this process may make a control group; None where it may not."""
    return next((h for h in HIERARCHIES if (h / "cgroup.procs").exists() and os.access(h, os.W_OK)), None)


@contextmanager
def control_group(name: str) -> Iterator[Path]:
    at = hierarchy()
    assert at is not None
    made = at / name
    made.mkdir(exist_ok=True)
    try:
        yield made
    finally:
        made.rmdir()


def ask(
    path: str, unit: str, credential: str, *, inside: str | None = None, uid: int = 0, address: str | None = None
) -> bytes | None:
    """What `unit` is given; None when it is refused. `inside`: the unit whose process really asks."""
    number = struct.unpack("Q", os.urandom(8))[0]
    command = [sys.executable, "-I", "-c", _ASK, path, address or f"@{number:x}/unit/{unit}/{credential}"]
    with control_group(inside or unit) as group:

        def enter() -> None:
            (group / "cgroup.procs").write_text("0")
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)

        finished = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=enter, check=True, timeout=60)
    return None if len(finished.stdout) > LARGEST else finished.stdout
