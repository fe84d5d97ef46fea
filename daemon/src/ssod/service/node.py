"""What this server is now: its state, its keyring, and whether it may encrypt. It decides by core; of the outside it looks at
the clock and at its mandate alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from ssod.core import refusals
from ssod.core.keyring import Keyring
from ssod.core.states import (
    Announce,
    Attachment,
    Event,
    MandateWithdrawn,
    Mastership,
    ReleaseWaiters,
    ResumeMastership,
    State,
    SteppedDown,
    TellOthers,
    is_attached,
    mastership_at,
    may_act_as_master,
    step,
)
from ssod.errors import MastershipUnconfirmed, NotMaster, Unavailable
from ssod.service.ports import Clock, Mandate
from ssod.storage.records import Environment


class Node:
    """The one mutable holder. Used from the event loop's thread only."""

    def __init__(
        self,
        state: State,
        clock: Clock,
        announce: Callable[[Announce], None],
        mandate: Mandate,
        *,
        may_become_master: bool,
        encrypt_while_detached: bool,
    ) -> None:
        self.state = state
        self.clock = clock
        self._keyring: Keyring | None = None
        # Until when a keyring is used that only a sealed cache has vouched for (monotonic seconds, and UTC); and why there is none.
        self._borrowed: tuple[float, datetime] | None = None
        self.cache_refusal: str | None = None
        self.sealed_key_id: str | None = None
        # Under which sealing key the copy on this host's disk is, and what is wrong with that.
        self.sealed_under: str | None = None
        self.seal_problem: str | None = None
        self.environment: Environment | None = None
        self.mandate = mandate
        # When the database wrote down that this server is the master; and what it is yet to be told: the epoch from which this
        # server has stepped down, and which confirmation that ends.
        self.confirmation: float | None = None
        self.owed: tuple[int, float | None] | None = None
        self.may_become_master = may_become_master
        self.encrypt_while_detached = encrypt_while_detached
        self._announce = announce
        self._changed = asyncio.Event()
        self.stopping = False
        # When this server's certificate expires, and why nobody lets it in any more, if that is so.
        self.certificate_expires: datetime | None = None
        self.removed: str | None = None

    def stop(self) -> None:
        """Answers everyone who waits, and lets nobody wait again."""
        self.stopping = True
        self.release_waiters()

    def apply(self, event: Event) -> ResumeMastership | TellOthers | None:
        """Takes one step; returns the effect that needs I/O, when there is one (no step has two)."""
        before = self.state.attachment
        self.state, effects = step(self.state, event)
        if self.state.attachment is Attachment.ATTACHED and before is not Attachment.ATTACHED:
            self.release_waiters()  # an encryption that waits for the master need not wait on
        outside: ResumeMastership | TellOthers | None = None
        for effect in effects:
            match effect:
                case Announce():
                    self._announce(effect)
                case ReleaseWaiters():
                    self.release_waiters()
                case SteppedDown():
                    self.owed = (effect.epoch, self.confirmation)
                case ResumeMastership() | TellOthers():
                    outside = effect
        return outside

    @property
    def keyring(self) -> Keyring | None:
        if self._borrowed is not None and self.clock.monotonic() >= self._borrowed[0]:
            self.give_back(f"the sealed cache was of use until {self._borrowed[1]:%Y-%m-%dT%H:%M:%SZ} (sealing.cache_max_age)")
        return self._keyring

    def adopt(self, keyring: Keyring | None) -> None:
        self._keyring = keyring
        self.release_waiters()

    def borrow(self, keyring: Keyring, monotonic: float, until: datetime) -> None:
        """Decrypts with a keyring that nobody but a sealed cache has vouched for, until then. It never encrypts with it."""
        self._borrowed, self.cache_refusal = (monotonic, until), None
        self.adopt(keyring)

    def keep_borrowed(self) -> None:
        """The master has vouched for the keyring: it has no end any more."""
        self._borrowed = self.cache_refusal = None

    def give_back(self, reason: str) -> None:
        """Uses a borrowed keyring no more."""
        self.cache_refusal = reason
        if self._borrowed is not None:
            self._borrowed = None
            self.adopt(None)

    @property
    def borrowed_until(self) -> datetime | None:
        return self._borrowed[1] if self._borrowed is not None else None

    def _encrypt_refusal(self) -> Unavailable | None:
        keyring, now = self.keyring, self.clock.now()
        if keyring is None:
            return refusals.no_keyring(self.state, now, self.cache_refusal)
        while_detached = self.encrypt_while_detached and self._borrowed is None
        return refusals.encrypt_refusal(self.state, keyring, now, while_detached=while_detached)

    def release_waiters(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_change(self, seconds: float) -> None:
        """Returns after a change of keyring or mastership, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def mind_mandate(self) -> bool:
        """Steps down at once when this server has acted as the master and has no mandate for it any more; says whether it did."""
        if self.state.mastership is Mastership.PASSIVE or self.mandate.given():
            return False
        self.apply(MandateWithdrawn(self.clock.now()))
        return True

    def for_encryption(self) -> Keyring:
        """The keyring, when its current secret may encrypt now; else raises why not."""
        self.mind_mandate()
        keyring = self.keyring
        if keyring is not None and keyring.backed_up and self._borrowed is None and is_attached(self.state, self.clock.monotonic()):
            return keyring
        refusal = self._encrypt_refusal()
        if refusal is not None:
            raise refusal
        assert keyring is not None  # noqa: S101  encrypt_refusal refuses without one
        return keyring

    def for_decryption(self) -> Keyring:
        keyring = self.keyring
        if keyring is None:
            raise refusals.no_keyring(self.state, self.clock.now(), self.cache_refusal)
        return keyring

    def require_master(self) -> None:
        """Raises unless this server may act as the master now."""
        self.mind_mandate()
        now = self.clock.monotonic()
        if may_act_as_master(self.state, now):
            return
        if mastership_at(self.state, now) is Mastership.UNCONFIRMED:
            raise MastershipUnconfirmed(
                f"{self.state.server} is the master and cannot confirm it: {self.state.database_lost or self.state.reason}",
                next_step="bring the SSO database back",
            )
        if self.state.master == self.state.server:
            raise NotMaster(
                f"the database names {self.state.server} as master, and it does not act as one: {self.state.reason}",
                next_step="see `ssoctl status` there",
            )
        raise NotMaster(
            f"{self.state.server} is not the active master; that is {self.state.master or 'none'}",
            next_step=f"do it on {self.state.master}" if self.state.master else refusals.PROMOTE,
        )

    @property
    def mastership(self) -> Mastership:
        self.mind_mandate()
        return mastership_at(self.state, self.clock.monotonic())

    @property
    def attached(self) -> bool:
        return is_attached(self.state, self.clock.monotonic())

    @property
    def attachment(self) -> Attachment:
        """As people are told it: a master that was not heard of for too long is not there."""
        lapsed = self.state.attachment is Attachment.ATTACHED and not self.attached
        return Attachment.DETACHED if lapsed else self.state.attachment

    @property
    def next_step(self) -> str | None:
        """What to do so that this server is attached and encrypts; None when it is and does."""
        refusal = self._encrypt_refusal()
        if refusal is not None:
            return refusal.next_step
        return None if self.attached else refusals.PROMOTE

    @property
    def can_encrypt(self) -> bool:
        return self._encrypt_refusal() is None

    @property
    def key_id(self) -> str | None:
        keyring = self.keyring
        return keyring.current.id.hex() if keyring else None

    @property
    def held_key_ids(self) -> list[str]:
        keyring = self.keyring
        return sorted(key.hex() for key in keyring.keys) if keyring else []

    def certificate_warning(self) -> str | None:
        """What is to be done about this server's own certificate, if anything."""
        return refusals.certificate_warning(self.certificate_expires, self.clock.now())

    def sentence(self) -> str:
        said = refusals.sentence(self.state, self.keyring, self.clock.now(), self._encrypt_refusal(), self.borrowed_until)
        removed = self.removed or refusals.refused_by_database(self.state)
        old = refusals.age_warning(self.keyring, self.clock.now())
        return "; ".join(filter(None, [removed, said, self.seal_problem, self.certificate_warning(), old]))
