"""How long a plain server may use the keyring that it kept, when nobody can vouch for it any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ssod.core.states import Instant

# A clock that is corrected by less was not turned back (seconds).
CLOCK_SLACK = 60.0


class Vouched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the master last answered that a keyring is right, and the latest moment that this host has known since: both UTC, in
    seconds. It is authenticated with the keyring, so nobody makes it younger.
    """

    at: float
    seen: float

    @property
    def age(self) -> float:
        """Seconds that are known to have passed."""
        return self.seen - self.at


class TooOld(Exception):
    """A kept keyring that is not used; the message says why."""


def vouched_now(now: Instant) -> Vouched:
    seconds = now.utc.timestamp()
    return Vouched(seconds, seconds)


def aged(vouched: Vouched, age: float) -> Vouched:
    """The same, known to be at least that old."""
    return Vouched(vouched.at, max(vouched.seen, vouched.at + age))


def seconds_left(vouched: Vouched, max_age: float, now: Instant) -> float:
    """How long it may be used still. Raises TooOld.

    A clock that was turned back says nothing about the time since: then it is not used, until the clock is right.
    """
    clock = now.utc.timestamp()
    if clock < vouched.seen - CLOCK_SLACK:
        raise TooOld(
            f"this host's clock says {_text(clock)}, and it was {_text(vouched.seen)} already: how old the sealed cache is cannot "
            "be known; set the clock"
        )
    left = max_age - max(clock - vouched.at, vouched.age)
    if left <= 0:
        raise TooOld(
            f"the master last vouched for the sealed cache at {_text(vouched.at)}, and sealing.cache_max_age is {max_age:.0f} s"
        )
    return left


def until(vouched: Vouched, max_age: float) -> datetime:
    return datetime.fromtimestamp(vouched.at, UTC) + timedelta(seconds=max_age)


def _text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
