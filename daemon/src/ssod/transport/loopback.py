"""Who is at the other end of a TCP connection from this host, by the kernel's table of them: the user that made the other socket.

There is no SO_PEERCRED for TCP. The table of /proc names, of each socket of this network namespace, the user who made it: that is
how a browser is known, and the person behind `ssh -L`, whose sshd connects as him.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from ssod.transport.protocol import LoopbackPeer

# Not /proc/net: with ProcSubset=pid, which ssod's unit has, there is nothing in /proc but processes.
TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
ESTABLISHED = "01"


def peer_of(connection: socket.socket) -> LoopbackPeer:
    """The user who made the other end. None unless the kernel names exactly one."""
    with suppress(OSError):  # it may be gone already
        theirs, ours = connection.getpeername()[:2], connection.getsockname()[:2]
        found = {uid for table in TABLES for uid in uids_in(table.read_text("ascii").splitlines(), theirs, ours)}
        if len(found) == 1:
            return LoopbackPeer(found.pop())
    return LoopbackPeer(None)


def uids_in(lines: Iterable[str], local: tuple[str, int], remote: tuple[str, int]) -> list[int]:
    """The users of the sockets that are connected so, in the lines of such a table."""
    wanted = {(here, there) for here, there in zip(_written(*local), _written(*remote), strict=True)}
    uids = []
    for line in lines:
        fields = line.split()
        # A socket that its process has closed is said to be root's, and so is one that only waits for its end: neither is.
        if len(fields) > 9 and tuple(fields[1:3]) in wanted and fields[3] == ESTABLISHED and fields[9] != "0":
            uids.append(int(fields[7]))
    return uids


def _written(host: str, port: int) -> list[str]:
    """As /proc/net writes an address; that of IPv4 also as a socket of IPv6 has it."""
    address = ip_address(host)
    both = [address.packed, IPv6Address(f"::ffff:{address}").packed] if isinstance(address, IPv4Address) else [address.packed]
    return [f"{_words(packed)}:{port:04X}" for packed in both]


def _words(packed: bytes) -> str:
    """In words of four bytes, each as this machine has it in memory."""
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
