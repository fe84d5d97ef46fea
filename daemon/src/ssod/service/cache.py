"""A bounded copy of stored values, exact for as long as changes are heard, and served with its age when the database is lost.

It holds ciphertext, as the database does; a plaintext has no place in it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, TypeVar

from ssod.errors import Absent, DatabaseUnavailable
from ssod.service.feed import Feed
from ssod.service.ports import Clock
from ssod.storage.changes import Change, Kind

V = TypeVar("V")

# The application ("": known only when it is read) and every name that what is kept depends on, as a Change has them.
Key = tuple[str, tuple[str, ...]]

# What a value costs besides its own bytes, roughly: the entry and the objects around it, and each name of its key.
ENTRY_BYTES = 500
NAME_BYTES = 50


class _Entry(Generic[V]):
    """`as_of`: until when it was known to be what the database holds; of an exact one that is now."""

    __slots__ = ("as_of", "exact", "size", "value")

    def __init__(self, value: V, size: int, as_of: datetime, *, exact: bool) -> None:
        self.value = value
        self.size = size
        self.as_of = as_of
        self.exact = exact


class Cache(Generic[V]):
    """Values of one kind of Change; the least recently used ones go when there are more than `count`, or `room` bytes."""

    def __init__(
        self,
        kind: Kind,
        feed: Feed,
        clock: Clock,
        is_lost: Callable[[], bool],
        size: Callable[[V], int],
        *,
        count: int,
        room: int,
    ) -> None:
        """`is_lost` says whether the database is known to be lost; `size` the bytes of a value."""
        self._kind = kind
        self._feed = feed
        self._clock = clock
        self._is_lost = is_lost
        self._size = size
        self._count = count
        self._room = room
        self._used = 0
        self._entries: OrderedDict[Key, _Entry[V]] = OrderedDict()
        self._of_name: dict[tuple[str, str], set[Key]] = {}
        self._reading: dict[Key, asyncio.Task[V]] = {}
        feed.keep_exact(self)

    def exact(self, key: Key) -> V | None:
        """The value, if it is certainly what the database holds."""
        entry = self._entries.get(key)
        if entry is None or not entry.exact or self._is_lost():
            return None
        self._entries.move_to_end(key)
        return entry.value

    async def read(self, key: Key, load: Callable[[], Awaitable[V]]) -> tuple[V, datetime | None]:
        """The value, by `load` where it is not known; and as of when it was true, if the database cannot be reached now.

        One `load` serves all who ask meanwhile. Raises what it raises; DatabaseUnavailable only for what was never read.
        """
        found = self.exact(key)
        if found is not None:
            return found, None
        entry = self._entries.get(key)
        if entry is not None and self._is_lost():
            return entry.value, entry.as_of
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._load(key, load))
            reading.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(reading), None
        except DatabaseUnavailable:
            entry = self._entries.get(key)
            if entry is None:
                raise
            return entry.value, entry.as_of

    async def _load(self, key: Key, load: Callable[[], Awaitable[V]]) -> V:
        here = asyncio.current_task()
        try:
            value = await load()
        except Absent:
            if self._reading.get(key) is here:
                self._drop(key)
            raise
        finally:
            # Not any more, when a change came meanwhile: then what was read may be what was there before it.
            unchanged = self._reading.get(key) is here
            if unchanged:
                del self._reading[key]
        if unchanged:
            self._keep(key, value)
        return value

    def _keep(self, key: Key, value: V) -> None:
        self._drop(key)
        self._entries[key] = _Entry(value, 0, self._clock.now().utc, exact=self._feed.hears)
        for name in key[1]:
            self._of_name.setdefault((key[0], name), set()).add(key)
        self.grow(key, ENTRY_BYTES + NAME_BYTES * len(key[1]) + self._size(value))

    def grow(self, key: Key, size: int) -> None:
        """Counts bytes that were added to a value which is kept here."""
        self._entries[key].size += size
        self._used += size
        while self._used > self._room or len(self._entries) > self._count:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._used -= entry.size
        for name in key[1]:
            keys = self._of_name[key[0], name]
            keys.discard(key)
            if not keys:
                del self._of_name[key[0], name]

    def void(self, change: Change) -> None:
        """Drops what was changed: what is known to be another must not come back when the database is lost."""
        if change.kind != self._kind:
            return
        for key in [key for key in self._reading if _concerns(change, key)]:
            del self._reading[key]
        if change.name:
            applications = (change.application, "")
            voided = [key for application in applications for key in self._of_name.get((application, change.name), ())]
        else:
            voided = [key for key in self._entries if _concerns(change, key)]
        for key in voided:
            self._drop(key)

    def vouch(self) -> None:
        self.distrust()

    def distrust(self) -> None:
        """Keeps everything, for a database that is lost; nothing of it is exact any more."""
        now = self._clock.now().utc
        self._reading.clear()
        for entry in self._entries.values():
            if entry.exact:
                entry.exact, entry.as_of = False, now


def _concerns(change: Change, key: Key) -> bool:
    application, names = key
    return (application in ("", change.application) or not change.application) and (not change.name or change.name in names)


def _retrieve(task: asyncio.Task[object]) -> None:
    """What it raises is for those who wait; with none left, it concerns nobody."""
    if not task.cancelled():
        task.exception()
