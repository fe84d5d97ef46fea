"""The third listener: plain HTTP on a loopback address, with nothing but the status page and what it polls.

A browser cannot speak to a unix socket. Whoever connects is known by loopback.py, and a browser that was led here under another
name (DNS rebinding) is sent away.
"""

from __future__ import annotations

import asyncio
import re
import socket
from functools import partial
from typing import Any

from uvicorn.server import ServerState

from ssod.errors import WrongHost
from ssod.transport.app import App, Response
from ssod.transport.faces import listen_at, speaking
from ssod.transport.loopback import peer_of
from ssod.transport.protocol import LoopbackPeer, PeerProtocol

_LOOPBACK = re.compile(rb"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")


def refuse_other_hosts(headers: list[tuple[bytes, bytes]]) -> None:
    """Raises WrongHost unless the request is for this host by a name of loopback, at whatever port a tunnel has."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or _LOOPBACK.fullmatch(hosts[0].lower()) is None:
        raise WrongHost(
            "the status page is served to localhost alone", next_step="open it as http://localhost:PORT/, also through `ssh -L`"
        )


class LocalApp(App):
    """An App that answers requests for loopback names only."""

    async def _respond(self, scope: dict[str, Any], receive: Any, tracking_id: str) -> Response:
        refuse_other_hosts(scope["headers"])
        return await super()._respond(scope, receive, tracking_id)


class LoopbackProtocol(PeerProtocol):
    def peer_of(self, transport: asyncio.Transport) -> LoopbackPeer:
        connection: socket.socket = transport.get_extra_info("socket")
        return peer_of(connection)


class PageFace:
    def __init__(self, app: LocalApp) -> None:
        self._state = ServerState()
        self._factory = partial(LoopbackProtocol, config=speaking(app, LoopbackProtocol), server_state=self._state, app_state={})
        self._server: asyncio.Server | None = None

    async def start(self, address: str) -> None:
        """Raises OSError."""
        self._server = await asyncio.get_running_loop().create_server(self._factory, sock=listen_at(address))

    def stop(self) -> None:
        """At once: a page that is cut off asks again by itself."""
        if self._server is not None:
            self._server.close()
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
