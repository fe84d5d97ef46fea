"""Who connects over TCP from this host, by the kernel's own table: real sockets of real users."""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from edge import acting_as

from ssod.transport.loopback import TABLES, ends_of, peer_at, uids_in
from ssod.transport.protocol import LoopbackPeer

NOBODY = pwd.getpwnam("nobody").pw_uid


Address = tuple[socket.AddressFamily, str]


@contextmanager
def connected(listening: Address, to: Address, uid: int) -> Iterator[list[socket.socket]]:
    """Both ends: that of whom the user is asked, and that of the user."""
    with socket.socket(listening[0]) as listener:
        listener.bind((listening[1], 0))
        listener.listen()
        with acting_as(uid):
            theirs = socket.socket(to[0])
        with theirs:
            theirs.connect((to[1], listener.getsockname()[1]))
            ours, _ = listener.accept()
            with ours:
                yield [ours, theirs]


IPV4, IPV6 = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")
MAPPED = (socket.AF_INET6, "::ffff:127.0.0.1")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as another user")
@pytest.mark.parametrize("uid", [0, NOBODY])
@pytest.mark.parametrize(("listening", "to"), [(IPV4, IPV4), (IPV6, IPV6), (IPV4, MAPPED)], ids=["IPv4", "IPv6", "IPv4 by IPv6"])
def test_the_kernel_names_the_user(listening: Address, to: Address, uid: int) -> None:
    """Whoever made the socket, by whichever family it reaches here."""
    with connected(listening, to, uid) as (ours, _):
        assert peer_at(ends_of(ours)) == LoopbackPeer(uid)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as another user")
def test_a_socket_that_was_closed_is_nobody_s() -> None:
    """The kernel has it as root's then, which it never was."""
    with connected(IPV4, IPV4, NOBODY) as (ours, theirs):
        theirs.close()
        assert ours.recv(1) == b""
        assert peer_at(ends_of(ours)) == LoopbackPeer(None)


def test_a_connection_that_is_gone_is_nobody_s() -> None:
    """It may have been reset before anybody looked at it."""
    with connected(IPV4, IPV4, 0) as (ours, theirs):
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with pytest.raises(ConnectionResetError):
            ours.recv(1)
        assert peer_at(ends_of(ours)) == LoopbackPeer(None)


def test_a_line_that_is_not_the_connection_says_nothing() -> None:
    """Neither another port, nor another state, nor a socket without a process."""
    line = "  0: 0100007F:{port} 0100007F:1D38 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0\n"
    here, there = ("127.0.0.1", 0xABCD), ("127.0.0.1", 0x1D38)

    def uids(port: str = "ABCD", state: str = "01", inode: str = "4711") -> list[int]:
        table = "  sl  local_address rem_address\n" + line.format(port=port, state=state, inode=inode)
        return uids_in(table.encode(), here, there)

    assert uids() == [1000]
    assert uids(port="ABCE") == uids(state="06") == uids(inode="0") == []


def test_the_tables_are_among_what_a_process_may_see_of_itself() -> None:
    """ssod's unit has ProcSubset=pid: of /proc there is nothing but processes."""
    assert all(str(table).startswith("/proc/self/") for table in TABLES)
