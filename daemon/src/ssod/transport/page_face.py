"""The third listener: plain HTTP on a loopback address, with nothing but the status page and what it polls.

A browser cannot speak to a unix socket. Whoever connects is known by loopback.py, and a browser that was led here under another
name (DNS rebinding) is sent away.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

from uvicorn.server import ServerState

from ssod.errors import WrongHost
from ssod.transport.app import App, Response
from ssod.transport.faces import listen_at, speaking
from ssod.transport.loopback import ends_of, peer_at
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
    """An App that answers requests for loopback names only, and waits until it is known who asks."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["peer"] = await scope["identified"]
        await super().__call__(scope, receive, send)

    async def _respond(self, scope: dict[str, Any], receive: Any, tracking_id: str) -> Response:
        refuse_other_hosts(scope["headers"])
        return await super()._respond(scope, receive, tracking_id)


class LoopbackProtocol(PeerProtocol):
    """`reader` looks into the kernel's table, once a connection: a flood of them keeps one thread busy, and never the loop."""

    identified: asyncio.Future[LoopbackPeer]

    def __init__(self, reader: Executor, **options: Any) -> None:
        super().__init__(**options)
        self._reader = reader

    def peer_of(self, transport: asyncio.Transport) -> LoopbackPeer:
        ends = ends_of(transport.get_extra_info("socket"))
        self.identified = self.loop.run_in_executor(self._reader, peer_at, ends)
        return LoopbackPeer(None)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["identified"] = self.identified  # type: ignore[typeddict-unknown-key]


class PageFace:
    def __init__(self, app: LocalApp) -> None:
        self._state = ServerState()
        self._reader = ThreadPoolExecutor(1, "loopback")
        self._factory = partial(
            LoopbackProtocol,
            self._reader,
            config=speaking(app, LoopbackProtocol),
            server_state=self._state,
            app_state={},
        )
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
        self._reader.shutdown(wait=False, cancel_futures=True)
