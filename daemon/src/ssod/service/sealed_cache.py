"""A plain server's sealed copy of the keyring, with an age: after a restart while the master is lost it decrypts, for so long.

It never encrypts from it. A server that was not restarted decrypts from its memory without an end, with or without this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ssod.core import cached, refusals
from ssod.core.cached import TooOld, Vouched
from ssod.core.keyring import Keyring
from ssod.seal.copy import SealBroken, SealedCopy
from ssod.service.node import Node
from ssod.service.offload import Offload

# What the master has vouched for is written down this often, and so is for how long one that is used alone has been (seconds).
WRITE_PAUSE = 60.0


class Using(NamedTuple):
    """A cache that is used without the master: what it was opened as, when by the monotonic clock, and its age by then."""

    vouched: Vouched
    since: float
    age: float


class SealedCache:
    def __init__(self, node: Node, copy: SealedCopy, disk: Offload, warn: Callable[[str], None], max_age: float) -> None:
        """`max_age` in seconds."""
        self._node = node
        self.copy = copy
        self._disk = disk
        self._warn = warn
        self.max_age = max_age
        self.vouched: Vouched | None = None
        self._using: Using | None = None
        self._written: tuple[str, float] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def open(self, fitting: Callable[[Keyring], Keyring | None]) -> None:
        """Uses what was kept, if it is not too old; said by the node otherwise. `fitting` says how it may be used."""
        node = self._node
        async with self._one_at_a_time:
            if self._is_removed():
                return
            try:
                kept = await self._disk(self.copy.read)
            except (SealBroken, OSError) as error:
                self._refuse(f"the sealed cache of the keyring is of no use: {error}")
                return
            if kept is None or kept.vouched is None:
                return
            node.sealed_under = kept.key
            now = node.clock.now()
            try:
                left = cached.seconds_left(kept.vouched, self.max_age, now)
            except TooOld as reason:
                self._refuse(str(reason))
                return
            keyring = fitting(kept.keyring)
            if keyring is None or node.keyring is not None:
                return
            self.vouched = kept.vouched
            self._using = Using(kept.vouched, now.monotonic, self.max_age - left)
            node.seal_problem = None
            node.sealed_key_id = keyring.current.id.hex()
            node.borrow(keyring, now.monotonic + left, cached.until(kept.vouched, self.max_age))
            # An hour that it was used counts also when the clock is turned back in the next start.
            await self._write(kept.keyring, cached.aged(kept.vouched, self.max_age - left))

    def _refuse(self, reason: str) -> None:
        if reason != self._node.cache_refusal:  # it is tried at every look at the database
            self._warn(reason)
        self._node.cache_refusal = reason

    async def confirm(self) -> None:
        """The master has just vouched for the keyring that this server uses."""
        node = self._node
        keyring = node.keyring
        if keyring is None or not node.attached:
            return
        node.keep_borrowed()
        self._using = None
        now = node.clock.now()
        written = (keyring.etag, now.monotonic)
        if self._written is not None and self._written[0] == written[0] and written[1] - self._written[1] < WRITE_PAUSE:
            return
        async with self._one_at_a_time:
            if not self._is_removed() and await self._write(keyring, cached.vouched_now(now)):
                self._written = written

    async def note_use(self) -> None:
        """Writes down how long it has been used without the master: that counts whatever the clock says in the next start."""
        async with self._one_at_a_time:
            using, keyring = self._using, self._node.keyring
            if using is not None and keyring is not None:
                age = using.age + self._node.clock.monotonic() - using.since
                await self._write(keyring, cached.aged(using.vouched, age))

    async def mind_removal(self, *, enrolled: bool) -> None:
        """Destroys what a removed server has kept."""
        if not enrolled or self._is_removed():
            await self.forget()

    async def forget(self) -> None:
        """The kept keyring is destroyed, and given up where it is all that this server has."""
        async with self._one_at_a_time:
            if self._using is not None:
                self._using = None
                self._node.give_back("this server was removed from the environment, and its sealed cache is destroyed")
            self._written = self.vouched = None
            try:
                await self._disk(self.copy.destroy)
            except OSError as error:
                self._warn(f"the sealed cache of the keyring cannot be destroyed: {error.strerror or error}")
                return
            self._node.sealed_key_id = self._node.sealed_under = None

    def _is_removed(self) -> bool:
        return self._node.removed is not None or refusals.refused_by_database(self._node.state) is not None

    async def _write(self, keyring: Keyring, vouched: Vouched) -> bool:
        node = self._node
        try:
            written = await self._disk(self.copy.write, keyring, vouched)
        except OSError as error:
            reason = f"the keyring could not be sealed on this host's disk: {error.strerror or error}"
            if reason != node.seal_problem:
                self._warn(reason)
            node.seal_problem = reason
            return False
        node.seal_problem = written.problem
        node.sealed_under, node.sealed_key_id = written.key, keyring.current.id.hex()
        self.vouched = vouched
        return True
