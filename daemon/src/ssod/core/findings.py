"""Which events hold, by what one server sees: of itself, and of the environment in the database.

Each event has those who may judge it. Of itself a server judges alone. Whether there is a master judges whoever has looked: by the
database's clock and the master's own confirmations there, so that all come to the same. The rest only the master does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from ssod.core.events import (
    CERTIFICATE_EXPIRES,
    KEY_IDS_DIFFER,
    KINDS,
    MASTER_LOST,
    NO_KEYRING,
    NO_STANDBY,
    NOT_BACKED_UP,
    SECRET_OLD,
    SERVER_DETACHED,
    SERVER_DOWN,
    Finding,
    Thresholds,
    Told,
)
from ssod.core.silence import is_silent
from ssod.core.states import CONFIRMATION_WINDOW


class Own(NamedTuple):
    """What a server knows of itself. `acts` says that it acts as the master; `lacks_keyring` that there is one, and not here."""

    server: str
    is_enrolled: bool
    attached: bool
    acts: bool
    lacks_keyring: bool
    certificate_days: int


class Reported(NamedTuple):
    """An enrolled server, by what it last said of itself."""

    name: str
    may_become_master: bool
    key_id: str | None
    sealed_key_id: str | None
    last_seen: datetime | None


class Seen(NamedTuple):
    """The environment, as the database shows it at the moment `now` of its own clock (seconds since 1970).

    `confirmed_at` is when the master of this epoch last confirmed that it acts; None when none does. `servers` is None for who did
    not ask for them. `created_at` is of the current secret.
    """

    now: float
    master: str | None
    epoch: int
    confirmed_at: float | None
    key_id: str | None
    created_at: datetime | None
    backed_up: bool
    servers: tuple[Reported, ...] | None
    told: tuple[Told, ...]


def findings(own: Own, seen: Seen | None, thresholds: Thresholds) -> list[Finding]:
    """Everything that this server may judge now. `seen` is None while it does not look at the database."""
    found = list(_of_itself(own, seen, thresholds)) if own.is_enrolled else []
    if seen is not None:
        found += _of_the_master(seen)
        if own.acts and seen.servers is not None:
            found += _by_the_master(own.server, seen, seen.servers, thresholds)
    return found


def has_master(seen: Seen) -> bool:
    """Whether a master acts: a mastership that was not confirmed for so long is none that may be acted on."""
    # One of a time that is yet to come was written before the clock was set back.
    return seen.master is not None and seen.confirmed_at is not None and abs(seen.now - seen.confirmed_at) <= CONFIRMATION_WINDOW


def _of_itself(own: Own, seen: Seen | None, thresholds: Thresholds) -> Iterator[Finding]:
    yield Finding(NO_KEYRING, own.server, own.lacks_keyring)
    days = own.certificate_days
    yield Finding(CERTIFICATE_EXPIRES, own.server, days < thresholds.certificate_days, value=str(days))
    if own.attached:
        yield Finding(SERVER_DETACHED, own.server, holds=False)
    elif seen is not None and has_master(seen):  # without a master no server is attached, and that is told once
        yield Finding(SERVER_DETACHED, own.server, holds=True)


def _of_the_master(seen: Seen) -> Iterator[Finding]:
    # An environment that never had a master is one that is just being made.
    lost = seen.epoch > 0 and not has_master(seen)
    held = max(0.0, seen.now - seen.confirmed_at) if lost and seen.confirmed_at is not None else 0.0
    yield Finding(MASTER_LOST, "", lost, held)


def _by_the_master(name: str, seen: Seen, servers: tuple[Reported, ...], thresholds: Thresholds) -> Iterator[Finding]:
    now = datetime.fromtimestamp(seen.now, UTC)
    silent = {each.name for each in servers if each.name != name and is_silent(each.last_seen, now)}
    for each in servers:
        if each.last_seen is not None:
            yield Finding(SERVER_DOWN, each.name, each.name in silent)
    if seen.key_id is not None:
        yield Finding(NOT_BACKED_UP, "", not seen.backed_up)
        heard = [each for each in servers if each.name not in silent]
        yield Finding(KEY_IDS_DIFFER, "", any(each.key_id not in {None, seen.key_id} for each in heard))
        standbys = [each for each in servers if each.may_become_master and each.name != name]
        ready = [each for each in standbys if each.name not in silent and each.sealed_key_id == seen.key_id]
        yield Finding(NO_STANDBY, "", bool(standbys) and not ready)
    if seen.created_at is not None:
        old = (now - seen.created_at).total_seconds() > thresholds.secret_days * 86400
        yield Finding(SECRET_OLD, "", old, value=str(thresholds.secret_days))
    enrolled = {"", *(each.name for each in servers)}
    for told in seen.told:
        # It was removed, and says nothing of itself any more. A newer version may have told of what this one has no words for.
        if told.subject not in enrolled and told.event in KINDS:
            yield Finding(told.event, told.subject, holds=False)
