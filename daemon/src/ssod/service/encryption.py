"""Encrypts and decrypts values of an application's own: one, or a batch of up to 1,000."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from ssod.core import envelope
from ssod.core.envelope import Place
from ssod.core.keyring import Keyring, Random
from ssod.errors import MasterLost, SsodError
from ssod.service.authority import Authority
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.ports import Audit, Call
from ssod.storage.applications import StaleKey
from ssod.storage.records import Application

# While detached, an encrypt request may ask once whether the master is back (seconds).
PROBE_LIMIT = 1.5
PROBE_PAUSE = 0.25

# How often a value is sealed anew before its writer is told that the master secret keeps changing.
TRIES = 4

T = TypeVar("T")


def place_of(application: str, context: str) -> Place:
    return Place(application, "value", context, "")


class Encryption:
    def __init__(
        self,
        node: Node,
        authority: Authority,
        membership: Membership,
        audit: Audit,
        random: Random,
        count: Callable[[str, int], None],
    ) -> None:
        self._node = node
        self._authority = authority
        self._membership = membership
        self._audit = audit
        self._random = random
        self._count = count
        self._probed = 0.0

    def encrypt(self, call: Call, application: Application, context: str, plaintexts: Sequence[bytes]) -> list[str]:
        """The ciphertexts as text. Raises Unavailable when nothing may be encrypted now."""
        self._authority.within(call.caller, "encrypt", application)
        self._authority.enabled(application)
        keyring = self._node.for_encryption()
        self._audit.record(call, "encrypt", application.name, keyring.current.id.hex())
        self._count("encrypt", len(plaintexts))
        sealed = keyring.seal_many(place_of(application.name, context), plaintexts, self._random)
        return list(map(envelope.to_text, sealed))

    def decrypt(self, call: Call, application: Application, context: str, ciphertexts: Sequence[str]) -> list[bytes]:
        """The plaintexts; all, or an error and none."""
        self._authority.within(call.caller, "decrypt", application)
        self._authority.enabled(application)
        keyring = self._node.for_decryption()
        envelopes = list(map(envelope.from_text, ciphertexts))
        self._audit.record(call, "decrypt", application.name, envelope.key_id_of(envelopes[0]).hex())
        self._count("decrypt", len(ciphertexts))
        try:
            return keyring.open_many(place_of(application.name, context), envelopes)
        except SsodError as error:
            self._audit.record(call, "decrypt", application.name, outcome=error.problem)
            raise

    async def keyring_for_encryption(self) -> Keyring:
        """As Node.for_encryption, after asking the master once more when it was thought lost.

        One probe serves all who ask meanwhile, so that service returns the moment the master does.
        """
        try:
            return self._node.for_encryption()
        except MasterLost:
            if self._node.clock.monotonic() - self._probed < PROBE_PAUSE:
                raise
        # Whichever comes first: the answer to the probe, or the server being attached by a notice meanwhile.
        probe = asyncio.create_task(self._membership.refresh(join=True))
        attached = asyncio.create_task(self._node.wait_for_change(PROBE_LIMIT))
        try:
            await asyncio.wait({probe, attached}, return_when=asyncio.FIRST_COMPLETED)
            if probe.done():
                probe.result()  # a defect in it is this request's, and must not vanish with the task
        finally:
            probe.cancel()
            attached.cancel()
        self._probed = self._node.clock.monotonic()
        return self._node.for_encryption()

    async def under_current(self, write: Callable[[Keyring], Awaitable[T]]) -> T:
        """What `write` does with the keyring that may encrypt now; once more, with another, where the database calls another secret
        current by the time that it stores. Nobody who writes learns of a rotation. Raises StaleKey when this server stays behind.
        """
        for _ in range(TRIES - 1):
            with suppress(StaleKey):
                return await write(await self.keyring_for_encryption())
            await self._membership.refresh()
        return await write(await self.keyring_for_encryption())

    async def selftest(self, call: Call) -> tuple[str, float]:
        """Encrypts a random value under the current key and opens it again: (key id, seconds)."""
        keyring = await self.keyring_for_encryption()
        self._audit.record(call, "selftest", "", keyring.current.id.hex())
        started = self._node.clock.monotonic()
        place, value = Place("", "selftest", "", ""), self._random(32)
        if keyring.open(place, keyring.seal(place, value, self._random)) != value:
            raise AssertionError("a value does not survive encryption and decryption")
        return keyring.current.id.hex(), self._node.clock.monotonic() - started
