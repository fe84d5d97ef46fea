"""The loops that keep a server current: one watches the database, one waits on the master. They decide nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ssod.core.states import Mastership
from ssod.errors import DatabaseUnavailable, SsodError
from ssod.runtime.listener import Listener
from ssod.service.authority import Authority
from ssod.service.membership import Membership
from ssod.service.offload import Offload
from ssod.service.sealed_cache import WRITE_PAUSE, SealedCache
from ssod.service.tally import Tally
from ssod.storage.records import Environment, ServerRecord
from ssod.storage.repository import Database

# Seconds between two looks at the database: a master confirms often; an attached server is told, by the database and by its master,
# and looks by itself in case it is not. Of many servers their looks are what they cost the database.
WATCH_AS_MASTER = 2.0
WATCH_ATTACHED = 5.0
WATCH_TOLD = 20.0
WATCH_DETACHED = 1.0
# While the database is lost: one that may be the master is waited for, the others do not crowd a database that is just starting.
WATCH_LOST_AS_MEMBER = 0.25
WATCH_LOST = 0.75
# A look that takes longer than this may wait on a connection to a host that is gone: another is begun beside it, on a new one.
LOOK_PATIENCE = 1.5
LOOK_PATIENCE_LOST = 0.5
LOOKS_AT_ONCE = 4
# Between two looks at the mandate; and at whether there is one to look at, which a reload may change.
MANDATE_PAUSE = 0.25
MANDATE_UNMINDED = 5.0
# Between two anchors of the audit log: what is cut off its end later is missed, but for what came in since the last one.
ANCHOR_PAUSE = 30.0
# What a sync of the log to the disk may take before it is said; it delays nobody.
ANCHOR_LIMIT = 5.0
# Between two counts of the values that a rotation has left. A count goes through those; without a rotation there are none.
TALLY_PAUSE = 60.0
# Between two looks at the sealed copy: whoever counts the standbys that could be promoted must not count one whose copy is gone.
SEAL_PAUSE = 15.0


async def forever(work: Callable[[], Awaitable[None]], failed: Callable[[BaseException], None], pause: float) -> None:
    """Repeats `work`; a defect in it is said, and does not end the loop."""
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failed(error)
            await asyncio.sleep(pause)  # a defect that comes back must not take the whole processor


class Warden:
    """Minds the mandate to act as master: a file has nobody who would tell that it is gone."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._telling: asyncio.Task[None] | None = None

    async def once(self) -> None:
        node = self._membership.node
        node.mind_mandate()
        # The database, which hears of it then, may hang: the mandate is minded meanwhile.
        if self._telling is not None and self._telling.done():
            told, self._telling = self._telling, None
            told.result()  # a defect in it must not vanish with the task
        if self._telling is None:
            self._telling = asyncio.create_task(self._membership.mind_mandate())
        # A file in /run that appears: the interval between two looks is the promise, there is nothing to wait on.
        await asyncio.sleep(MANDATE_PAUSE if node.mandate.managed_by == "cluster" else MANDATE_UNMINDED)


class Anchors:
    """Keeps, every now and then, where the audit log ends: on this host, and in the database."""

    def __init__(self, membership: Membership, anchor: Callable[[], None], disk: Offload, warn: Callable[[str], None]) -> None:
        self._membership = membership
        self._anchor = anchor
        self._disk = disk
        self._warn = warn

    async def once(self) -> None:
        await self.keep()
        await self._membership.report_audit()
        await asyncio.sleep(ANCHOR_PAUSE)

    async def keep(self) -> None:
        try:
            await self._disk(self._anchor)
        except (SsodError, OSError) as error:
            self._warn(f"where the audit log ends cannot be kept: {getattr(error, 'strerror', None) or error}")


class CacheKeeper:
    """Writes down, every now and then, for how long a sealed cache has been used without the master."""

    def __init__(self, cache: SealedCache) -> None:
        self._cache = cache

    async def once(self) -> None:
        await self._cache.note_use()
        await asyncio.sleep(min(WRITE_PAUSE, self._cache.max_age / 10))  # the interval is the promise


class SealKeeper:
    """Looks, every now and then, whether the sealed copy is on the disk still. Nothing tells of a file that somebody takes away."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def once(self) -> None:
        await self._membership.sealing.check()
        await asyncio.sleep(SEAL_PAUSE)  # the interval is the promise


class TallyKeeper:
    """Has the master know what a rotation has left, also one that another master, or this one before its restart, has begun."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._due = 0.0

    async def once(self) -> None:
        if self._tally.is_unknown or time.monotonic() >= self._due:
            self._due = time.monotonic() + TALLY_PAUSE
            with suppress(DatabaseUnavailable):  # the watcher says so
                await self._tally.count()
        # The interval is the promise: as often a master looks at the database, from which this is known.
        await asyncio.sleep(WATCH_AS_MASTER)


class Watcher:
    """Looks at the database, when it tells of a change and every now and then; tells the follower when the master is another."""

    def __init__(
        self, membership: Membership, authority: Authority, follower: Follower, database: Database, listener: Listener
    ) -> None:
        self._membership = membership
        self._database = database
        self._listener = listener
        self._looks: dict[asyncio.Task[Environment | None], float] = {}
        self._authority = authority
        self._follower = follower

    async def once(self) -> None:
        node = self._membership.node
        self._listener.environment.clear()
        if await self._look() and not self._listener.hears:
            with suppress(DatabaseUnavailable):  # the next look says so
                await self._authority.reload()
        self._follower.retarget()
        pause = WATCH_DETACHED
        if node.attached:
            pause = WATCH_TOLD if self._listener.hears else WATCH_ATTACHED
        if node.mastership is Mastership.ACTIVE:
            pause = WATCH_AS_MASTER
        if node.state.database_lost is not None:
            pause = WATCH_LOST_AS_MEMBER if node.may_become_master else WATCH_LOST
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause, node.state.refresh_interval)):
                await self._listener.environment.wait()

    async def _look(self) -> bool:
        """Whether the database answered: the first of as many looks as it takes, so that one that hangs holds up nothing."""
        lost = self._membership.node.state.database_lost is not None
        while True:
            if len(self._looks) < LOOKS_AT_ONCE:
                self._looks[asyncio.create_task(self._membership.observe())] = time.monotonic()
            patience = LOOK_PATIENCE_LOST if lost else LOOK_PATIENCE
            done, _ = await asyncio.wait(self._looks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            ended = {look: self._looks.pop(look) for look in done}
            answered = [began for look, began in ended.items() if look.result() is not None]
            if answered:
                if any(began < max(answered) for began in self._looks.values()):
                    self._database.cut(before=max(answered))  # the older ones wait in vain, and so do others beside them
                return True
            if done:
                return False
            self._database.renew()


class Follower:
    """Waits on the master for a new keyring, for one refresh interval at a time."""

    def __init__(self, membership: Membership, jitter: Callable[[], float]) -> None:
        self._membership = membership
        self._jitter = jitter
        self._target: ServerRecord | None = None
        self._moved = asyncio.Event()

    def retarget(self) -> None:
        """Gives up waiting on a master that is not the master any more."""
        if self._identity(self._membership.followed()) != self._identity(self._target):
            self._moved.set()

    @staticmethod
    def _identity(server: ServerRecord | None) -> tuple[str, str] | None:
        return (server.name, server.address) if server else None

    async def once(self) -> None:
        self._moved.clear()
        self._target = self._membership.followed()
        if self._target is None:
            await self._moved.wait()
            return
        node = self._membership.node
        # The first question to a master is not a long one: the answer says at once whether it is attached.
        interval = node.state.refresh_interval * self._jitter()
        wait = interval if node.attached and node.state.master == self._target.name else 0.0
        polling = asyncio.create_task(self._membership.follow(self._target, wait))
        moved = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait({polling, moved}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (polling, moved):
                task.cancel()
        if not polling.done() or polling.cancelled():
            await asyncio.gather(polling, return_exceptions=True)
            return
        if polling.result():
            if wait:
                await self._membership.report_again()
            return
        # A connection that broke may be all that is wrong: one immediate question decides, then a look each second.
        master = self._membership.followed()
        if wait and master is not None and await self._membership.follow(master, 0.0):
            return
        try:
            async with asyncio.timeout(WATCH_DETACHED):
                await self._moved.wait()
        except TimeoutError:
            pass
