"""uvicorn's HTTP protocol with three additions: it knows the peer, it bounds what a request may cost before it is whole, and it
answers what needs no waiting (one value to encrypt or decrypt, a configuration that is at hand) at once: without an ASGI message, a
task, or a turn of the loop.

See docs/adr/0002-http-stack.md. `scope["peer"]` is a UnixPeer or a TlsPeer, taken once a connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Any, Final, NamedTuple

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ssod.transport.tls import key_of_peer

# Bytes of one request, head and body, before it is cut off without an answer: above the API's own limit of a body.
REQUEST_BYTES: Final = 20 << 20
# Digits of the length of a body that is answered at once (under 10 kB): nobody waits long for it.
PROMPT_DIGITS: Final = 4
# Seconds from a request's first byte to its last.
REQUEST_SECONDS: Final = 15.0

# Of a request that has one of these, more may come than a head.
_FRAMING: Final = frozenset({b"transfer-encoding", b"upgrade"})

_CREDENTIALS = struct.Struct("3i")


class UnixPeer(NamedTuple):
    """The kernel's word on who connected."""

    uid: int
    gid: int


class TlsPeer(NamedTuple):
    """The verified certificate's first DNS name, None when it has none; and the hash of its public key."""

    name: str | None
    key: str


class LoopbackPeer(NamedTuple):
    """The kernel's word on who connected over TCP from this host; None when it does not say."""

    uid: int | None


Peer = UnixPeer | TlsPeer | LoopbackPeer


def _tls_peer(tls: ssl.SSLObject) -> TlsPeer:
    verified: dict[str, Any] = tls.getpeercert() or {}
    names = [value for kind, value in verified.get("subjectAltName", ()) if kind == "DNS"]
    return TlsPeer(names[0] if names else None, key_of_peer(tls))


class PeerProtocol(HttpToolsProtocol):
    """One connection of either face."""

    peer: Peer
    app: Any  # ssod.transport.app.App, which this file must not know
    arriving = False
    arrived = 0
    last = False
    deadline: asyncio.TimerHandle | None = None
    # Of a request that is answered when it is whole: what answers it, and its body so far. None for every other.
    prompt: Any = None  # ssod.transport.app.Prompt
    held: bytes = b""
    answered = False  # such a one, in the data that has just come
    served = False  # such a one, ever

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.peer = self.peer_of(transport)
        super().connection_made(transport)
        self.deadline = self.loop.call_later(REQUEST_SECONDS, transport.abort)

    def peer_of(self, transport: asyncio.Transport) -> Peer:
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            return _tls_peer(tls)
        unix = transport.get_extra_info("socket")
        _, uid, gid = _CREDENTIALS.unpack(unix.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return UnixPeer(uid, gid)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.answered:
            self.answered = False
            if not self.arriving:
                self._end_deadline()
                return
        cycle = self.cycle
        if not self.arriving and cycle is not None and not cycle.response_complete:
            self._end_deadline()  # whole: from here on the time is the handler's
            return
        # Part of a request, or only empty lines, for which httptools begins no message.
        self.arrived += len(data)
        if self.arrived > REQUEST_BYTES:
            self.transport.abort()
        elif self.deadline is None:
            self.deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _end_deadline(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.arriving, self.arrived = True, 0
        self.scope["peer"] = self.peer  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        self.prompt = self._find_prompt()
        if self.prompt is not None:
            self.held = b""
            return
        super().on_headers_complete()
        if self.last:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Ends the connection after its request; one that has just been made is still given its first one."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and (self.arriving or (self.cycle is None and not self.served)):
            self.last = True  # `deadline` bounds how long that may take
        elif idle:
            self.transport.close()
        else:
            super().shutdown()

    def _find_prompt(self) -> Any:
        """What answers a small request to a path that needs no waiting, with nothing else under way on this connection."""
        method = self.parser.get_method()
        prompt = self.app.find_prompt(method, self.url)
        if (
            prompt is None
            or not (self.cycle is None or self.cycle.response_complete)
            or not self.parser.should_keep_alive()
            or self.expect_100_continue
            or self.flow.write_paused
        ):
            return None
        bodiless = method == b"GET"
        for name, value in self.headers:
            if name == b"content-length":
                return prompt if not bodiless and len(value) <= PROMPT_DIGITS else None
            if name in _FRAMING:
                return None
        return prompt if bodiless else None

    def send_400_response(self, _msg: str) -> None:
        """What is no HTTP is refused with a problem document, like everything else."""
        self.transport.write(self.app.refuse_what_is_no_http(self.peer))
        self.transport.close()

    def on_body(self, body: bytes) -> None:
        if self.prompt is None:
            super().on_body(body)
        else:
            self.held += body

    def on_message_complete(self) -> None:
        self.arriving = False
        prompt, self.prompt = self.prompt, None
        if prompt is not None:
            held, self.held = self.held, b""
            if not self.last:
                answer = self.app.answer_promptly(prompt, self.headers, held, self.peer)
                if answer is not None:
                    self.transport.write(answer)
                    self.answered = self.served = True
                    self.on_response_complete()
                    return
            # It has to wait after all, or is to be the last: the ordinary way, from its beginning.
            self._begin_ordinary(held)
        super().on_message_complete()

    def _begin_ordinary(self, body: bytes) -> None:
        super().on_headers_complete()
        if self.last:
            self.cycle.keep_alive = False
        if body:
            super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._end_deadline()
