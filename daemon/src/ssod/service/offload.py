"""Calls that block, run on a few threads, each with a limit."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from ssod.errors import DatabaseUnavailable, SsodError

T = TypeVar("T")

# Longer than every limit of the driver (storage/engine.py): what is reached only by a host that is frozen.
LIMIT_SECONDS = 10.0


def database_silent(seconds: float) -> SsodError | OSError:
    return DatabaseUnavailable(f"the SSO database has not answered for {seconds:g} s", next_step="look at the database host")


def disk_silent(seconds: float) -> SsodError | OSError:
    return OSError(errno.EIO, f"this host's disk has not answered for {seconds:g} s")


class Offload:
    """`late` makes what is raised for a call that has taken longer than `limit` seconds; the call itself may go on."""

    def __init__(
        self, threads: int = 4, limit: float = LIMIT_SECONDS, late: Callable[[float], SsodError | OSError] = database_silent
    ) -> None:
        self._limit = limit
        self._late = late
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ssod-blocking")

    async def __call__(self, function: Callable[..., T], *arguments: object, **named: object) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limit):
                return await loop.run_in_executor(self._pool, partial(function, *arguments, **named))
        except TimeoutError:
            raise self._late(self._limit) from None

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
