"""Runs one candidate on a unix socket until it is terminated: ``serve.py CANDIDATE SOCKET``."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import signal
import sys
from pathlib import Path

import uvloop


def resident() -> int:
    """Return this process's resident memory in KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


async def serve(candidate: str, path: str) -> None:
    factory = importlib.import_module(candidate).build()
    if inspect.isawaitable(factory):
        factory = await factory
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_unix_server(factory, path)
    print(resident(), flush=True)
    await stopping.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
