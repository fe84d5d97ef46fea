"""Which systemd unit is asking, and for which credential: systemd's own word, believed when the kernel's word agrees.

systemd names unit and credential in the address that it binds its end to (systemd.exec(5), LoadCredential=). Any program can bind
such an address. So the process has to be root's, and in the unit's own control group: it is the child that becomes the unit's
program, and was put there before it asks.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ssod.errors import Forbidden, Malformed

# A random number in hexadecimal digits, without leading zeros.
_ADDRESS = re.compile(rb"\x00[0-9a-f]{1,16}/unit/([\x21-\x2e\x30-\x7e]{1,255})/([\x21-\x2e\x30-\x7e]{1,255})")
_CREDENTIALS = struct.Struct("3i")
# Linux 6.5: a file descriptor of the process that connected, which never comes to mean another. Python has no name for it yet.
_SO_PEERPIDFD = 77
_DESCRIPTOR = struct.Struct("i")


class Asked(NamedTuple):
    unit: str
    credential: str


class Peer(NamedTuple):
    """The kernel's word on who connected. `unit` is None for a process outside of any."""

    uid: int
    unit: str | None

    @property
    def name(self) -> str:
        return f"unit:{self.unit}" if self.uid == 0 and self.unit else f"uid:{self.uid}"


def asked_in(address: bytes | str) -> Asked:
    """What systemd's address asks for. Raises Malformed for every other address."""
    parts = _ADDRESS.fullmatch(address) if isinstance(address, bytes) else None
    if parts is None:
        raise Malformed("this is not how systemd asks for a credential", next_step="use LoadCredential= in a unit")
    return Asked(parts[1].decode("ascii"), parts[2].decode("ascii"))


def unit_in(control_groups: str) -> str | None:
    """The unit in the text of /proc/PID/cgroup: what comes first below the slices. None outside of any unit."""
    for line in control_groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (number, controllers) != ("0", "") and controllers != "name=systemd":
            continue
        below = next((part for part in path.split("/") if part and not part.endswith(".slice")), None)
        if below is not None:
            return below.removeprefix("_")  # systemd's own escape, for names that the kernel has a meaning for
    return None


def peer_of(connection: socket.socket) -> Peer:
    """Raises Forbidden when the kernel does not say."""
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    held = _hold(connection)
    try:
        # A process of another PID namespace has no number here, and is in no unit of this host's.
        unit = unit_in(Path(f"/proc/{pid}/cgroup").read_text("utf-8", "surrogateescape")) if pid > 0 else None
        if held is not None and not _lives(held):
            unit = None  # what was read may be of a process that was given the number since
    except OSError as error:
        raise Forbidden(
            f"the control group of a process that asked cannot be read: {error.strerror}",
            next_step="ssod needs to see /proc/PID/cgroup: no hidepid= for /proc, no ProtectProc= in its unit",
        ) from None
    finally:
        if held is not None:
            os.close(held)
    return Peer(uid, unit)


def _hold(connection: socket.socket) -> int | None:
    """A descriptor of the process; None where the kernel is older than that."""
    with suppress(OSError):
        (descriptor,) = _DESCRIPTOR.unpack(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, _DESCRIPTOR.size))
        return int(descriptor)
    return None


def _lives(descriptor: int) -> bool:
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii").splitlines()
    return not any(line.split() == ["Pid:", "-1"] for line in lines)
