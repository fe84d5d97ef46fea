"""The loops that keep a server current: one watches the database, one waits on the master. They decide nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ssod.core.states import Mastership
from ssod.errors import DatabaseUnavailable
from ssod.service.authority import Authority
from ssod.service.membership import Membership
from ssod.storage.records import ServerRecord

# Seconds between two looks at the database: a master confirms often, an attached server hears of most things from its master.
WATCH_AS_MASTER = 2.0
WATCH_ATTACHED = 5.0
WATCH_DETACHED = 1.0
# Between two looks at the mandate; and at whether there is one to look at, which a reload may change.
MANDATE_PAUSE = 0.25
MANDATE_UNMINDED = 5.0


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

    async def once(self) -> None:
        await self._membership.mind_mandate()
        await asyncio.sleep(MANDATE_PAUSE if self._membership.node.mandate.managed_by == "cluster" else MANDATE_UNMINDED)


class Watcher:
    """Looks at the database, and tells the follower when the master is another."""

    def __init__(self, membership: Membership, authority: Authority, follower: Follower) -> None:
        self._membership = membership
        self._authority = authority
        self._follower = follower

    async def once(self) -> None:
        node = self._membership.node
        await self._membership.observe()
        with suppress(DatabaseUnavailable):  # observe has said so
            await self._authority.reload()
        self._follower.retarget()
        pause = WATCH_ATTACHED if node.attached else WATCH_DETACHED
        if node.mastership is Mastership.ACTIVE:
            pause = WATCH_AS_MASTER
        await asyncio.sleep(min(pause, node.state.refresh_interval))


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
