"""Waits on a master as many servers do: `fifty.py DIRECTORY MASTER ADDRESS FILE`; creates FILE once all are attached.

Each certificate in DIRECTORY is one server, with ssod's own client, its long poll and its jitter. What else a server does
(its look at the database) never reaches the master, and is left out. A server that takes a new keyring says so in a line, with its
moment by the clock that all processes share ("new 123.4"); one whose question fails says "failed", and "back" once it is answered.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial
from pathlib import Path

import uvloop

from ssod.config import TlsConfig
from ssod.service.ports import Fetched, PeerFailed
from ssod.storage.records import ServerRecord
from ssod.transport import tls
from ssod.transport.peers import HttpPeers

REFRESH_SECONDS = 60.0
# So many handshakes are under way at a time.
AT_ONCE = 16
_uniform = random.SystemRandom().uniform


def _master(name: str, address: str) -> ServerRecord:
    blank = dict.fromkeys(ServerRecord._fields)
    return ServerRecord(**{**blank, "name": name, "address": address, "may_become_master": True})  # type: ignore[arg-type]


def _held(fetched: Fetched) -> str:
    assert fetched.keyring is not None, "the master has no secret"
    return fetched.keyring.etag


async def first(peers: HttpPeers, master: ServerRecord) -> str:
    while True:
        try:
            return _held(await peers.fetch(master, None, 0))
        except PeerFailed as error:
            print("failed", error, flush=True)
            await asyncio.sleep(1)  # as ssod does, before it asks again


async def follow(peers: HttpPeers, master: ServerRecord, etag: str) -> None:
    # The first wait is cut anywhere, so that the fifty come as evenly as fifty servers that were started one by one.
    wait = _uniform(0, REFRESH_SECONDS)
    attached = True
    while True:
        try:
            fetched = await peers.fetch(master, etag, wait)
        except PeerFailed as error:
            print("failed", error, flush=True)
            attached, wait = False, 0.0
            await asyncio.sleep(1)  # as ssod does, before it asks again
            continue
        if not attached:
            attached = True
            print("back", time.monotonic(), flush=True)
        if fetched.keyring is not None:
            etag = fetched.keyring.etag
            print("new", time.monotonic(), flush=True)
        wait = REFRESH_SECONDS * _uniform(0.9, 1.1)


def _clients(directory: Path) -> list[HttpPeers]:
    ca = str(directory / "ca.pem")
    files = [TlsConfig(str(each), str(each.with_suffix(".key")), ca) for each in sorted(directory.glob("more*.pem"))]
    return [HttpPeers(partial(tls.client_context, each)) for each in files]


async def live(directory: Path, name: str, address: str, attached: Path) -> None:
    master, gate = _master(name, address), asyncio.Semaphore(AT_ONCE)
    clients = _clients(directory)
    left = len(clients)

    async def attach(peers: HttpPeers) -> None:
        nonlocal left
        async with gate:
            etag = await first(peers, master)
        left -= 1
        if left == 0:
            await asyncio.to_thread(attached.touch)
        await follow(peers, master, etag)

    await asyncio.gather(*map(attach, clients))


if __name__ == "__main__":
    uvloop.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])))
