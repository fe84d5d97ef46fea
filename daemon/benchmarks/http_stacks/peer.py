"""Names the other end of a connection: the kernel's word on a unix socket, the certificate's under TLS."""

from __future__ import annotations

import asyncio
import socket
import struct

_UCRED = struct.Struct("3i")


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return ``cert:<serial>`` or ``uid:<n>,gid:<n>,pid:<n>``. Called once a connection, never once a request."""
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        return f"cert:{tls.getpeercert()['serialNumber']}"
    # uvloop lends a pseudo socket; getsockopt is among what it does support.
    credentials = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, gid = _UCRED.unpack(credentials)
    return f"uid:{uid},gid:{gid},pid:{pid}"
