"""Candidate (c): aiohttp's web.Application and its router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from aiohttp import web
from payload import HANDLERS
from peer import peer_of

_PEERS: WeakKeyDictionary[asyncio.BaseTransport, str] = WeakKeyDictionary()


async def endpoint(request: web.Request) -> web.Response:
    transport = request.transport
    assert transport is not None
    # The protocol object outlives its requests and takes no attribute (slots): remember the peer by transport.
    peer = _PEERS.get(transport)
    if peer is None:
        peer = _PEERS[transport] = peer_of(transport)
    answer = HANDLERS[request.path](peer, await request.read())
    return web.Response(body=answer, content_type="application/json")


async def build() -> Callable[[], asyncio.Protocol]:
    application = web.Application()
    application.add_routes([web.post(path, endpoint) for path in HANDLERS])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    assert runner.server is not None
    return runner.server
