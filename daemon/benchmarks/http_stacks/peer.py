"""Names the other end of a connection: the kernel's word on a unix socket, the certificate's under TLS."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

_UCRED = struct.Struct("3i")


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return ``cert:<sha-relevant subject>`` or ``uid:<n>,gid:<n>,pid:<n>``. Called once a connection."""
    tls = transport.get_extra_info("ssl_object")
    if tls is not None:
        certificate = tls.getpeercert()
        return f"cert:{certificate['serialNumber']}"
    # uvloop's transport lends a pseudo socket without getsockopt; a duplicate descriptor asks the kernel in its place.
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as sock:
        pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f"uid:{uid},gid:{gid},pid:{pid}"
