"""The keyring that a server uses and, where it is one that may become master, keeps sealed on its disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ssod.core.keyring import Keyring
from ssod.seal.copy import Kept, SealBroken, SealedCopy, is_cache
from ssod.seal.files import destroy
from ssod.seal.keys import SealingKey, SealUnavailable
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.sealed_cache import SealedCache
from ssod.storage.records import Environment


def as_the_database_says(keyring: Keyring, environment: Environment) -> Keyring:
    """The keyring with that secret current which the database calls so, if it has it: of a switch the database knows first."""
    current = environment.current_key_id
    if current is None or keyring.environment != environment.id or current == keyring.current.id or current not in keyring.keys:
        return keyring
    return keyring.with_current(current).with_backup(environment.backup is not None)


NO_KEYRING = "this host holds no keyring, neither cached nor sealed: restore the backup first (`ssoctl secret restore FILE`)"


def unfit(keyring: Keyring | None, environment: Environment) -> list[str]:
    """Why a keyring is not the one that the database needs; empty when it is. Which of its secrets is the current one is for the
    database to say, also for one that was restored from before a rotation.
    """
    if environment.current_key_id is None:
        return []
    if keyring is None:
        return [NO_KEYRING]
    keyring = as_the_database_says(keyring, environment)
    failed = keyring.failed_canaries(environment.canaries)
    if keyring.environment != environment.id:
        failed.append("the keyring belongs to another environment")
    if keyring.current.id != environment.current_key_id:
        failed.append(f"the current key id is {keyring.current.id.hex()}, the database needs {environment.current_key_id.hex()}")
    return failed


def fitting(keyring: Keyring, environment: Environment | None) -> Keyring | None:
    """A keyring of this host's disk as it may be used; None where the database was asked, and the keyring opens no canary of it."""
    if environment is None:
        return keyring
    keys = keyring.keys
    opened = [name for name, canary in environment.canaries.items() if name in keys and keys[name].opens_canary(canary)]
    if keyring.environment != environment.id or not opened:
        return None
    return as_the_database_says(keyring, environment) if environment.current_key_id in opened else keyring


def sealing_of(
    node: Node,
    disk: Offload,
    warn: Callable[[str], None],
    path: Path,
    keys: Callable[[], Sequence[SealingKey]],
    cache_max_age: float,
) -> Sealing:
    """What this server keeps at `path`: a sealed copy if it may become master; else a cache, unless `cache_max_age` is 0. Its keys
    are asked for only then. A cache that is not wanted any more is destroyed.
    """
    if node.may_become_master:
        return Sealing(node, SealedCopy(path, keys()), disk, warn)
    if cache_max_age:
        return Sealing(node, None, disk, warn, SealedCache(node, SealedCopy(path, keys()), disk, warn, cache_max_age))
    if is_cache(path):
        destroy(path)
    return Sealing(node, None, disk, warn)


class Sealing:
    def __init__(
        self, node: Node, copy: SealedCopy | None, disk: Offload, warn: Callable[[str], None], cache: SealedCache | None = None
    ) -> None:
        """Without a `copy` nothing is kept on the disk, but for what a `cache` keeps for a while."""
        self._node = node
        self._copy = copy
        self.cache = cache
        self._disk = disk
        self._warn = warn
        # Of two changes at once, the second is made to what the first one left.
        self._changing = asyncio.Lock()

    @property
    def seals_with(self) -> str | None:
        """The name of the key that is to seal; None where nothing is sealed."""
        copy = self.cache.copy if self.cache is not None else self._copy
        return copy.seals_with if copy is not None else None

    def _problem(self, reason: str | None) -> None:
        if reason is not None and reason != self._node.seal_problem:  # the cluster has it looked at every few seconds
            self._warn(reason)
        self._node.seal_problem = reason

    async def _look(self) -> tuple[Kept | None, bool]:
        """What the sealed copy holds, and whether another may be put in its place: not where its key alone is missing just now."""
        if self._copy is None:
            return None, False
        try:
            kept = await self._disk(self._copy.read)
        except (SealBroken, OSError) as error:
            self._problem(f"the sealed copy of the keyring is of no use: {error}")
            self._node.sealed_under = None
            return None, not isinstance(error, SealUnavailable)
        self._node.sealed_under = kept.key if kept is not None else None
        if kept is None or kept.key == self.seals_with:
            self._problem(None)
        return kept, True

    async def read(self) -> Keyring | None:
        """The keyring on this host's disk; None when there is none of use."""
        kept, _ = await self._look()
        return kept.keyring if kept is not None else None

    async def open(self, environment: Environment | None = None) -> None:
        """Uses the keyring that this host keeps, so that a standby decrypts before it has reached anyone.

        Where the database could be asked, a copy that opens none of its canaries is not used. One that another key sealed is sealed
        anew: so the sealing is changed by a restart.
        """
        if self._node.keyring is not None:
            return
        if self.cache is not None:
            await self.cache.open(lambda keyring: fitting(keyring, environment))
            return
        kept, _ = await self._look()
        keyring = fitting(kept.keyring, environment) if kept is not None else None
        if kept is None or keyring is None or self._node.keyring is not None:
            return
        self._node.adopt(keyring)
        self._node.sealed_key_id = keyring.current.id.hex()
        self._node.state = replace(self._node.state, epoch=max(keyring.epoch, self._node.state.epoch))
        if kept.key != self.seals_with:
            await self._seal_anew(kept.keyring)

    async def _seal_anew(self, keyring: Keyring) -> None:
        try:
            await self.seal(keyring)
        except OSError as error:
            self._problem(f"the keyring could not be sealed on this host's disk: {error.strerror or error}")

    async def check(self) -> None:
        """Looks whether the sealed copy is on the disk still, and what it holds; makes one where it is missing or older, or under a
        key that is not the one that is to seal.
        """
        node = self._node
        if self._copy is None:
            return
        kept, replaceable = await self._look()
        keyring = node.keyring
        node.sealed_key_id = kept.keyring.current.id.hex() if kept is not None else None
        if keyring is None or not replaceable:
            return
        if kept is not None and kept.keyring.current.id == keyring.current.id:
            if kept.keyring.keys.keys() < keyring.keys.keys():
                node.sealed_key_id = None  # it lacks a secret, and counts as none
            elif kept.key == self.seals_with:
                return
        # One that holds a secret which this server does not know yet may be just being made: it is left alone.
        if kept is None or kept.keyring.keys.keys() <= keyring.keys.keys():
            with suppress(OSError):  # adopt has said so, or nothing has changed since
                await self.seal(keyring)

    async def seal(self, keyring: Keyring) -> None:
        """Keeps the keyring on this host's disk, if this host is one that does. Raises OSError."""
        if self._copy is not None:
            written = await self._disk(self._copy.write, keyring)
            self._node.sealed_key_id = keyring.current.id.hex()
            self._node.sealed_under = written.key
            self._problem(
                f"the sealed copy stays under {written.key}, for {self.seals_with} cannot be used: {written.problem}"
                if written.problem is not None
                else None
            )

    async def alter(self, change: Callable[[Keyring], Keyring]) -> None:
        """As `adopt`, of what the keyring becomes by a change; one that changes nothing does nothing."""
        async with self._changing:
            keyring = self._node.keyring
            changed = change(keyring) if keyring is not None else None
            if changed is not None and changed is not keyring:
                await self._adopt(changed)

    async def adopt(self, keyring: Keyring) -> None:
        """Seals the keyring where this host keeps one, and uses it: a full disk costs the copy, not the service."""
        async with self._changing:
            await self._adopt(keyring)

    async def _adopt(self, keyring: Keyring) -> None:
        try:
            await self.seal(keyring)
        except OSError as error:
            self._node.sealed_key_id = None
            self._problem(f"the keyring could not be sealed on this host's disk: {error.strerror or error}")
        self._node.adopt(keyring)
