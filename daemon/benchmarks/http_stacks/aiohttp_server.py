"""Candidate (d): aiohttp's low-level web.Server, one handler and no router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from weakref import WeakKeyDictionary

from aiohttp import web
from payload import HANDLERS
from peer import peer_of

_PEERS: WeakKeyDictionary[asyncio.BaseTransport, str] = WeakKeyDictionary()


async def handler(request: web.BaseRequest) -> web.Response:
    transport = request.transport
    assert transport is not None
    peer = _PEERS.get(transport)
    if peer is None:
        peer = _PEERS[transport] = peer_of(transport)
    answer = HANDLERS[request.path](peer, await request.read())
    return web.Response(body=answer, content_type="application/json")


def build() -> Callable[[], asyncio.Protocol]:
    return web.Server(handler, access_log=None)
