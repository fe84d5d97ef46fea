"""uvicorn's httptools protocol, told who is calling: the peer is in every scope, found once a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from peer import peer_of
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


class PeerProtocol(HttpToolsProtocol):
    """Adds ``scope["peer"]``."""

    peer: str

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.peer = peer_of(transport)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["peer"] = self.peer  # type: ignore[typeddict-unknown-key]


def settled(app: Any) -> Config:
    """Return a configuration in which nothing is guessed, wrapped, logged or added to an answer."""
    config = Config(
        app,
        interface="asgi3",
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        log_config=None,  # leave the process's logging alone
        access_log=False,
        proxy_headers=False,  # True wraps the application, and believes X-Forwarded-For
        server_header=False,
        date_header=False,
    )
    config.load()
    return config


def connections(app: Any, protocol: type[HttpToolsProtocol] = PeerProtocol) -> Callable[[], asyncio.Protocol]:
    """Return what ``loop.create_unix_server`` wants."""
    return partial(protocol, config=settled(app), server_state=ServerState(), app_state={})
