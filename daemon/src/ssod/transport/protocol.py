"""uvicorn's HTTP protocol with two additions: it knows the peer, and it bounds what a request may cost before it is whole.

See docs/adr/0002-http-stack.md. `scope["peer"]` is a UnixPeer or a TlsPeer, taken once a connection.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of one request, head and body, before it is cut off without an answer: above the API's own limit of a body.
REQUEST_BYTES: Final = 20 << 20
# Seconds from a request's first byte to its last.
REQUEST_SECONDS: Final = 15.0

_CREDENTIALS = struct.Struct("3i")


class UnixPeer(NamedTuple):
    """The kernel's word on who connected."""

    uid: int
    gid: int


class TlsPeer(NamedTuple):
    """The verified certificate's first DNS name; None when it has none."""

    name: str | None


def _tls_peer(certificate: dict[str, Any]) -> TlsPeer:
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    return TlsPeer(names[0] if names else None)


class PeerProtocol(HttpToolsProtocol):
    """One connection of either face."""

    peer: UnixPeer | TlsPeer
    arriving = False
    arrived = 0
    last = False
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.peer = _tls_peer(tls.getpeercert())
        else:
            unix = transport.get_extra_info("socket")
            _, uid, gid = _CREDENTIALS.unpack(unix.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
            self.peer = UnixPeer(uid, gid)
        super().connection_made(transport)
        self.deadline = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = self.cycle
        if not self.arriving and cycle is not None and not cycle.response_complete:
            if self.deadline is not None:  # whole: from here on the time is the handler's
                self.deadline.cancel()
                self.deadline = None
            return
        # Part of a request, or only empty lines, for which httptools begins no message.
        self.arrived += len(data)
        if self.arrived > REQUEST_BYTES:
            self.transport.abort()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.arriving, self.arrived = True, 0
        self.scope["peer"] = self.peer  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.last:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Ends the connection after its request; one that has just been made is still given its first one."""
        if self.cycle is None or (self.arriving and self.cycle.response_complete):
            self.last = True  # `deadline` bounds how long that may take
        else:
            super().shutdown()

    def on_message_complete(self) -> None:
        self.arriving = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        if self.deadline is not None:
            self.deadline.cancel()
