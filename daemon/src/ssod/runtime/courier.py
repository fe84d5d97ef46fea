"""Carries news to one webhook or program: one after the other, each tried a few times, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ssod.runtime import journal
from ssod.service.ports import NotDelivered

# Seconds before the second attempt and those after it.
PAUSES = (1.0, 5.0, 20.0)
# News that wait while the receiver hangs; there are few events, and what is older than so many is of no use to anybody.
WAITING = 100


class Courier:
    """`count` is told of each message whether it was delivered."""

    def __init__(
        self,
        receiver: str,
        deliver: Callable[[bytes], Awaitable[None]],
        count: Callable[[bool], None],
        pauses: tuple[float, ...] = PAUSES,
    ) -> None:
        self._receiver = receiver
        self._deliver = deliver
        self._count = count
        self._pauses = pauses
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING)

    def take(self, event: str, body: bytes) -> None:
        try:
            self._waiting.put_nowait((event, body))
        except asyncio.QueueFull:
            self._fail(event, f"{WAITING} others wait for it already")

    async def once(self) -> None:
        """Delivers the next one, or gives it up."""
        event, body = await self._waiting.get()
        for pause in (*self._pauses, None):
            try:
                await self._deliver(body)
            except (NotDelivered, OSError) as error:
                if pause is None:
                    self._fail(event, str(error))
                    return
                journal.warning("an event is told once more", event_name=event, receiver=self._receiver, why=str(error))
                await asyncio.sleep(pause)  # what does not answer is not asked at once again
            else:
                self._count(True)
                journal.info("an event was told", event_name=event, receiver=self._receiver)
                return

    def _fail(self, event: str, why: str) -> None:
        self._count(False)
        journal.error("an event could not be told", event_name=event, receiver=self._receiver, why=why)
