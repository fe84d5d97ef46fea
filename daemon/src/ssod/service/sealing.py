"""The keyring that a server uses and, where it is one that may become master, keeps sealed on its disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from ssod.core.keyring import Keyring
from ssod.seal import SealBroken, SealedCopy
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.storage.records import Environment


def as_the_database_says(keyring: Keyring, environment: Environment) -> Keyring:
    """The keyring with that secret current which the database calls so, if it has it: of a switch the database knows first."""
    current = environment.current_key_id
    if current is None or keyring.environment != environment.id or current == keyring.current.id or current not in keyring.keys:
        return keyring
    return keyring.with_current(current).with_backup(environment.backup is not None)


class Sealing:
    def __init__(self, node: Node, copy: SealedCopy | None, disk: Offload, warn: Callable[[str], None]) -> None:
        """Without a `copy` nothing is kept on the disk."""
        self._node = node
        self._copy = copy
        self._disk = disk
        self._warn = warn
        self._said = ""
        # Of two changes at once, the second is made to what the first one left.
        self._changing = asyncio.Lock()

    async def read(self) -> Keyring | None:
        """The keyring on this host's disk; None when there is none of use."""
        if self._copy is None:
            return None
        try:
            return await self._disk(self._copy.read)
        except (SealBroken, OSError) as error:
            reason = f"the sealed copy of the keyring is of no use: {error}"
            if reason != self._said:  # the cluster has it looked at every few seconds
                self._warn(reason)
            self._said = reason
            return None

    async def open(self, environment: Environment | None = None) -> None:
        """Uses the keyring that this host keeps, so that a standby decrypts before it has reached anyone.

        Where the database could be asked, a copy that opens none of its canaries is not used.
        """
        keyring = await self.read()
        if keyring is None or self._node.keyring is not None:
            return
        if environment is not None:
            keys = keyring.keys
            opened = [name for name, canary in environment.canaries.items() if name in keys and keys[name].opens_canary(canary)]
            if keyring.environment != environment.id or not opened:
                return
            if environment.current_key_id in opened:
                keyring = as_the_database_says(keyring, environment)
        self._node.adopt(keyring)
        self._node.sealed_key_id = keyring.current.id.hex()
        self._node.state = replace(self._node.state, epoch=max(keyring.epoch, self._node.state.epoch))

    async def check(self) -> None:
        """Looks whether the sealed copy is on the disk still, and what it holds; makes one where it is missing or older."""
        node = self._node
        if self._copy is None:
            return
        kept = await self.read()
        keyring = node.keyring
        node.sealed_key_id = kept.current.id.hex() if kept is not None else None
        if keyring is None or (
            kept is not None and kept.current.id == keyring.current.id and kept.keys.keys() >= keyring.keys.keys()
        ):
            return
        if kept is not None and kept.current.id == keyring.current.id:
            node.sealed_key_id = None  # it lacks a secret, and counts as none
        # One that holds a secret which this server does not know yet may be just being made: it is left alone.
        if kept is None or kept.keys.keys() <= keyring.keys.keys():
            with suppress(OSError):  # adopt has said so, or nothing has changed since
                await self.seal(keyring)

    async def seal(self, keyring: Keyring) -> None:
        """Keeps the keyring on this host's disk, if this host is one that does. Raises OSError."""
        if self._copy is not None:
            await self._disk(self._copy.write, keyring)
            self._node.sealed_key_id = keyring.current.id.hex()

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
            self._warn(f"the keyring could not be sealed on this host's disk: {error.strerror or error}")
        self._node.adopt(keyring)
