"""Who is at the other end of a TCP connection from this host, by the kernel's table of them: the user that made the other socket.

There is no SO_PEERCRED for TCP. The table of /proc names, of each socket of this network namespace, the user who made it: that is
how a browser is known, and the person behind `ssh -L`, whose sshd connects as him.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from ssod.transport.protocol import LoopbackPeer

# Not /proc/net: with ProcSubset=pid, which ssod's unit has, there is nothing in /proc but processes.
TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
ESTABLISHED = "01"


Ends = tuple[tuple[str, int], tuple[str, int]]


def ends_of(connection: socket.socket) -> Ends | None:
    """Theirs and ours, as address and port; None for a connection that is gone already."""
    try:
        return connection.getpeername()[:2], connection.getsockname()[:2]
    except OSError:
        return None


def peer_at(ends: Ends | None) -> LoopbackPeer:
    """The user who made the other end; None unless the kernel names exactly one. Blocks: 0.1 s where there are 20,000 sockets."""
    found: set[int] = set()
    with suppress(OSError):  # then nobody is named
        found = {uid for table in TABLES for uid in uids_in(table.read_bytes(), *ends)} if ends is not None else found
    return LoopbackPeer(found.pop() if len(found) == 1 else None)


def uids_in(table: bytes, local: tuple[str, int], remote: tuple[str, int]) -> list[int]:
    """The users of the sockets that are connected so, by the text of such a table."""
    uids = []
    for here, there in zip(_written(*local), _written(*remote), strict=True):
        # Looked for as it stands, not line by line: a busy host has tens of thousands.
        _, _, rest = table.partition(f" {here} {there} {ESTABLISHED} ".encode())
        uid, inode = rest.split(maxsplit=6)[3:6:2] if rest else ("0", "0")
        # A socket that its process has closed is said to be root's, and so is one that only waits for its end: neither is.
        if int(inode) != 0:
            uids.append(int(uid))
    return uids


def _written(host: str, port: int) -> list[str]:
    """As /proc/net writes an address; that of IPv4 also as a socket of IPv6 has it."""
    address = ip_address(host)
    both = [address.packed, IPv6Address(f"::ffff:{address}").packed] if isinstance(address, IPv4Address) else [address.packed]
    return [f"{_words(packed)}:{port:04X}" for packed in both]


def _words(packed: bytes) -> str:
    """In words of four bytes, each as this machine has it in memory."""
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
