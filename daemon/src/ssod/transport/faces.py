"""The two listeners: the unix socket and the mutual-TLS port. They start, swap certificates, and stop without a cut request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Container
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from ssod.transport.protocol import PeerProtocol, TlsPeer

# uvicorn's own default of 5 s closes a client's connection between two of its requests; a probe or a poller asks less often.
KEEP_ALIVE_SECONDS = 75


def listen_at(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen(512)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def speaking(app: Any, protocol: type[PeerProtocol]) -> Config:
    """uvicorn's configuration of a listener."""
    config = Config(
        app,
        interface="asgi3",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        reset_contextvars=True,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    return config


class Faces:
    def __init__(self, app: Any) -> None:
        self._state = ServerState()
        self._factory = partial(PeerProtocol, config=speaking(app, PeerProtocol), server_state=self._state, app_state={})
        self._local: asyncio.Server | None = None
        self._remote: asyncio.Server | None = None
        self._tcp: socket.socket | None = None
        self._socket_path: str | None = None

    @property
    def connections(self) -> int:
        return len(self._state.connections)

    async def start(self, socket_path: str, address: str, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        # The port first: a second ssod, started by mistake, fails here and leaves the first one its socket.
        self._tcp = listen_at(address)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket_path)
        local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        local.bind(socket_path)
        # Everybody may connect: who may do what is decided by the kernel's word on who they are.
        os.chmod(socket_path, 0o666)  # noqa: S103
        self._socket_path = socket_path
        self._local = await loop.create_unix_server(self._factory, sock=local, backlog=512)
        await self.reload(context)

    async def reload(self, context: ssl.SSLContext) -> None:
        """New connections meet the new certificates. The kernel's queue is shared, so none is turned away."""
        assert self._tcp is not None  # noqa: S101
        loop, old = asyncio.get_running_loop(), self._remote
        self._remote = await loop.create_server(self._factory, sock=self._tcp.dup(), ssl=context, ssl_handshake_timeout=5)
        if old is not None:
            old.close()
            # Connections made under the old CA finish their request and come again.
            for connection in list(self._state.connections):
                if isinstance(connection, PeerProtocol) and connection.scheme == "https":
                    connection.shutdown()

    def cut(self, keys: Container[str]) -> None:
        """Ends connections of certificates with these public keys, where they are not being answered; those are, with a refusal."""
        for connection in list(self._state.connections):
            if isinstance(connection, PeerProtocol) and isinstance(connection.peer, TlsPeer) and connection.peer.key in keys:
                connection.shutdown()

    async def stop(self, grace: float) -> None:
        """Takes no more; lets what is under way finish within `grace` seconds."""
        for server in (self._local, self._remote):
            if server is not None:
                server.close()
        if self._tcp is not None:
            self._tcp.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        while self._state.tasks and loop.time() < deadline:
            await asyncio.wait(set(self._state.tasks), timeout=deadline - loop.time())
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._socket_path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._socket_path)
