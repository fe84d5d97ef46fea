"""What has changed in the SSO database, as this server hears of it: keeps its copies exact, and wakes whoever waits.

It hears from the runtime (runtime/listener.py). While nobody tells it, copies are not trusted and cursors are lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ssod.storage.changes import Change

# A watcher that was away for longer than so many changes is told to read everything anew.
KEPT_CHANGES = 10_000


class Copy(Protocol):
    """What is kept of the database, and follows the feed."""

    def void(self, change: Change) -> None:
        """What this change is about is not as it was."""

    def vouch(self) -> None:
        """From now on every change is told; what was kept before may have changed unheard."""

    def distrust(self) -> None:
        """From now on changes may be missed."""


class Heard(NamedTuple):
    """`lost`: there may be more than is known; whoever asked reads everything anew."""

    cursor: str
    changes: list[Change]
    lost: bool


class Feed:
    """Used from the event loop's thread only."""

    def __init__(self, name: Callable[[], str]) -> None:
        """`name` gives a new name at each call: cursors of another time, or of another server, do not fit."""
        self._name = name
        self._session = name()
        self._kept: deque[Change] = deque(maxlen=KEPT_CHANGES)
        self._copies: list[Copy] = []
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._number = 0
        self._closed = False
        self.hears = False
        # Counts whatever wakes somebody: what was looked at before it may be different now.
        self.moment = 0

    def keep_exact(self, copy: Copy) -> None:
        self._copies.append(copy)

    def begin(self) -> None:
        """From now on every change is heard."""
        self.hears = True
        self._session, self._number = self._name(), 0
        self._kept.clear()
        for copy in self._copies:
            copy.vouch()
        self.wake()

    def lose(self) -> None:
        """From now on changes may be missed, until `begin`."""
        self.hears = False
        for copy in self._copies:
            copy.distrust()

    def void(self, changes: Sequence[Change]) -> None:
        """As `hear`, for copies only: whoever waits is woken when the change is heard as everybody's."""
        for change in changes:
            for copy in self._copies:
                copy.void(change)

    def hear(self, changes: Sequence[Change]) -> None:
        self.void(changes)
        self._kept.extend(changes)
        self._number += len(changes)
        for application in {change.application for change in changes}:
            # What is of no application concerns all of them.
            self.wake(application or None)

    def wake(self, application: str | None = None) -> None:
        """Lets those who wait look again: of this application and of all, or everybody."""
        self.moment += 1
        for key in list(self._waiting) if application is None else (application, ""):
            for waiter in self._waiting.pop(key, ()):
                if not waiter.done():
                    waiter.set_result(None)

    def close(self) -> None:
        """Answers everyone who waits, and lets nobody wait again."""
        self._closed = True
        self.wake()

    @property
    def cursor(self) -> str:
        return f"{self._session}-{self._number}"

    def since(self, cursor: str) -> Heard:
        """What was heard after the moment of a cursor."""
        session, _, number = cursor.rpartition("-")
        missed = self._number - int(number) if number.isascii() and number.isdigit() and len(number) < 20 else -1
        if not self.hears or session != self._session or not 0 <= missed <= len(self._kept):
            return Heard(self.cursor, [], lost=True)
        changes = [self._kept[index] for index in range(-missed, 0)]
        return Heard(self.cursor, list(dict.fromkeys(changes)), lost=False)

    async def wait(self, application: str, since: int, seconds: float) -> bool:
        """Until something may have changed in an application ("": anywhere) after the moment `since`; False: not in `seconds`."""
        if self._closed or seconds <= 0:
            return False
        if since != self.moment:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(application, set()).add(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
            return not self._closed
        except TimeoutError:
            return False
        finally:
            waiters = self._waiting.get(application)
            if waiters is not None:
                waiters.discard(waiter)
                if not waiters:
                    del self._waiting[application]
