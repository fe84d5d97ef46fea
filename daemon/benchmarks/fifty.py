"""Waits on a master as many servers do: `fifty.py DIRECTORY MASTER ADDRESS FILE`; creates FILE once all are attached.

Each certificate in DIRECTORY is one server, with ssod's own client, its long poll and its jitter. What else a server does
(its look at the database) never reaches the master, and is left out.
"""

from __future__ import annotations

import asyncio
import random
import sys
from functools import partial
from pathlib import Path

import uvloop

from ssod.config import TlsConfig
from ssod.service.ports import Fetched
from ssod.storage.records import ServerRecord
from ssod.transport import tls
from ssod.transport.peers import HttpPeers

REFRESH_SECONDS = 60.0
_uniform = random.SystemRandom().uniform


def _master(name: str, address: str) -> ServerRecord:
    blank = dict.fromkeys(ServerRecord._fields)
    return ServerRecord(**{**blank, "name": name, "address": address, "may_become_master": True})  # type: ignore[arg-type]


def _held(fetched: Fetched) -> str:
    assert fetched.keyring is not None, "the master has no secret"
    return fetched.keyring.etag


async def follow(peers: HttpPeers, master: ServerRecord, etag: str) -> None:
    # The first wait is cut anywhere, so that the fifty come as evenly as fifty servers that were started one by one.
    wait = _uniform(0, REFRESH_SECONDS)
    while True:
        fetched = await peers.fetch(master, etag, wait)
        if fetched.keyring is not None:
            etag = fetched.keyring.etag
        wait = REFRESH_SECONDS * _uniform(0.9, 1.1)


def _clients(directory: Path) -> list[HttpPeers]:
    ca = str(directory / "ca.pem")
    files = [TlsConfig(str(each), str(each.with_suffix(".key")), ca) for each in sorted(directory.glob("more*.pem"))]
    return [HttpPeers(partial(tls.client_context, each)) for each in files]


async def live(directory: Path, name: str, address: str, attached: Path) -> None:
    master = _master(name, address)
    clients = [(peers, _held(await peers.fetch(master, None, 0))) for peers in _clients(directory)]
    await asyncio.to_thread(attached.touch)
    await asyncio.gather(*(follow(peers, master, etag) for peers, etag in clients))


if __name__ == "__main__":
    uvloop.run(live(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])))
