"""What is under way at present, for whoever must not begin before it is over. Used from the event loop's thread only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class UnderWay:
    def __init__(self) -> None:
        self._count = 0
        self._over = asyncio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Within it, one more is under way."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            self._over.set()

    async def over(self) -> None:
        """Waits until none is."""
        while self._count:
            self._over.clear()
            await self._over.wait()
