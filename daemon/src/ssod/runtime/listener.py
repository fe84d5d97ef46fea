"""Listens to the SSO database for changes, and tells the feed; while it cannot, it says so and tries again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ssod.errors import DatabaseUnavailable
from ssod.service.authority import Authority
from ssod.service.feed import Feed
from ssod.service.offload import Offload
from ssod.storage.changes import Announced, Change
from ssod.storage.lines import LOOK_PAUSE, Line, LineLost, open_line
from ssod.storage.repository import Database

# Seconds between two attempts to listen, while the database is lost.
LISTEN_PAUSE = 0.5

# What the authority keeps a copy of.
_AUTHORITY = frozenset({"application", "role", "sso", "certificate"})


class Listener:
    def __init__(
        self, database: Database, feed: Feed, authority: Authority, offload: Offload, inform: Callable[[str], None]
    ) -> None:
        """`offload` is for it alone: a connection to a host that has vanished holds up nobody else."""
        self._database = database
        self._feed = feed
        self._authority = authority
        self._offload = offload
        self._inform = inform
        self._line: Line | None = None
        self._lost = asyncio.Event()
        self._outdated = asyncio.Event()
        # Set when a look at the environment may show something new: who looks clears it before.
        self.environment = asyncio.Event()

    @property
    def hears(self) -> bool:
        """Whether every change is told at present."""
        return self._feed.hears

    def attach(self) -> None:
        """From now on hears what this process itself changes, at once; called in its event loop."""
        loop = asyncio.get_running_loop()

        def hear(announced: Announced) -> None:
            loop.call_soon_threadsafe(self._own, announced)

        self._database.hear = hear

    def close(self) -> None:
        self._offload.close()

    async def once(self) -> None:
        """Listens for as long as it goes well."""
        try:
            line = await self._offload(open_line, self._database)
        except DatabaseUnavailable:
            await asyncio.sleep(LISTEN_PAUSE)  # the database is asked again this often, as nobody tells that it is back
            return
        self._line = line
        self._lost.clear()
        try:
            self._begin()
            await self._listen(line)
        finally:
            self._line = None
            self._lose()
            line.close()

    async def _listen(self, line: Line) -> None:
        loop, descriptor = asyncio.get_running_loop(), line.descriptor()
        if descriptor is None:
            while True:
                self._hear(line)
                await asyncio.sleep(LOOK_PAUSE)  # the interval of the look
        loop.add_reader(descriptor, self._hear, line)
        try:
            await self._lost.wait()
        finally:
            loop.remove_reader(descriptor)

    def _begin(self) -> None:
        self._feed.begin()
        self._outdated.set()
        self.environment.set()

    def _lose(self) -> None:
        self._feed.lose()
        self.environment.set()

    def _hear(self, line: Line) -> None:
        if self._lost.is_set():
            return  # what can still be read of it comes too late
        try:
            self._take(line.hear())
        except LineLost as error:
            self._missed(line, error)

    def _own(self, announced: Announced) -> None:
        # Before the writer is answered, it must read here what it wrote: others hear of it, and this server as one of them.
        self._feed.void(announced.changes)
        line = self._line
        if line is None:
            return
        try:
            self._take(line.own(announced))
        except LineLost as error:
            self._missed(line, error)

    def _take(self, changes: list[Change]) -> None:
        kept = [change for change in changes if change.kind != "environment"]
        if len(kept) < len(changes):
            self.environment.set()
        if not kept:
            return
        self._feed.hear(kept)
        if any(change.kind in _AUTHORITY for change in kept):
            self._outdated.set()

    def _missed(self, line: Line, error: LineLost) -> None:
        if line.descriptor() is None:
            self._begin()  # a file is looked at anew, there is nothing to connect to
            return
        self._inform(f"the SSO database does not tell of changes any more: {error}")
        self._lose()
        self._lost.set()

    async def keep_authority(self) -> None:
        """Waits until who may do what has changed, reads it, and lets those who wait look again."""
        await self._outdated.wait()
        self._outdated.clear()
        try:
            await self._authority.reload()
        except BaseException as error:
            self._outdated.set()  # a role that was taken away must not stay for want of an answer
            if not isinstance(error, DatabaseUnavailable):
                raise
            await asyncio.sleep(LISTEN_PAUSE)  # as above
            return
        self._feed.wake()
