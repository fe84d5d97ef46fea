"""Attached or detached, master or not: the whole state machine of one SSO server, as a table.

`step` is pure. Two facts are kept apart: whether this server reached its master (`Attachment`), and whether it is the
master itself (`Mastership`). States do nothing; effects are returned for the caller to carry out. A pair of mastership
and event that is not in TRANSITIONS is a defect and raises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

# A master acts on a mastership that the database confirmed at most this long ago (seconds). A paused process finds on
# its first request after the pause that its confirmation is too old, before it has answered anything. The master of the
# next epoch begins when that has passed, or when the earlier one says that it has stepped down: never do two act at once.
CONFIRMATION_WINDOW = 6.0

# An attached server has heard from its master within one refresh, its jitter, and this slack (seconds).
ATTACHMENT_SLACK = 15.0


# A server reports when something changes and at each refresh, every minute unless configured otherwise. One that has said nothing
# for so long (seconds) is not what it last said.
SILENT_SECONDS = 150


class Attachment(StrEnum):
    STARTING = "starting"
    ATTACHED = "attached"
    DETACHED = "detached"


class Mastership(StrEnum):
    PASSIVE = "passive"
    ACTIVE = "active"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment by both clocks: `monotonic` (seconds) for durations, `utc` for people."""

    monotonic: float
    utc: datetime


BEGINNING = Instant(0.0, datetime.fromtimestamp(0, UTC))


@dataclass(frozen=True, slots=True)
class State:
    server: str
    refresh_interval: float
    attachment: Attachment = Attachment.STARTING
    mastership: Mastership = Mastership.PASSIVE
    master: str | None = None
    epoch: int = 0
    since: Instant = BEGINNING
    last_seen: Instant | None = None
    reason: str = "starting"
    database_lost: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentRead:
    """The database named its master and epoch."""

    master: str | None
    epoch: int
    at: Instant


@dataclass(frozen=True, slots=True)
class DatabaseLost:
    reason: str
    at: Instant


@dataclass(frozen=True, slots=True)
class MasterAnswered:
    """The master handed out a keyring, or said that it has not changed."""

    master: str
    epoch: int
    at: Instant


@dataclass(frozen=True, slots=True)
class MasterLost:
    reason: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Activated:
    """The database's compare-and-set made this server the master of `epoch`."""

    epoch: int
    at: Instant


@dataclass(frozen=True, slots=True)
class Deactivated:
    """The database took the mastership from this server, at its own wish."""

    epoch: int
    at: Instant


@dataclass(frozen=True, slots=True)
class MandateWithdrawn:
    """Whoever manages the mastership has taken this server's mandate to act as master."""

    at: Instant


Event = EnvironmentRead | DatabaseLost | MasterAnswered | MasterLost | Activated | Deactivated | MandateWithdrawn


@dataclass(frozen=True, slots=True)
class Announce:
    """One sentence for the journal; `warning` when somebody may have to act."""

    sentence: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class ResumeMastership:
    """The database calls this server the master of `epoch`, and it does not act as one: check the keyring, then act."""

    epoch: int


@dataclass(frozen=True, slots=True)
class SteppedDown:
    """The master of `epoch` has ceased to act: a newer epoch has begun, or its mandate is gone. Tell the database, somebody may
    wait.
    """

    epoch: int


@dataclass(frozen=True, slots=True)
class ReleaseWaiters:
    """Servers that wait on this master for a new keyring must be answered now."""


@dataclass(frozen=True, slots=True)
class TellOthers:
    """This server acts as the master from now on, again or for the first time: those that look for one need not wait."""


Effect = Announce | ResumeMastership | SteppedDown | ReleaseWaiters | TellOthers
Result = tuple[State, tuple[Effect, ...]]


class UnexpectedEvent(Exception):
    """An event that this mastership cannot see; a defect of the caller."""


def _detach(state: State, reason: str, at: Instant) -> State:
    if state.attachment is Attachment.DETACHED:
        return replace(state, reason=reason)
    since = state.last_seen if state.attachment is Attachment.ATTACHED and state.last_seen else at
    return replace(state, attachment=Attachment.DETACHED, since=since, reason=reason)


def _attach(state: State, reason: str, at: Instant) -> State:
    since = state.since if state.attachment is Attachment.ATTACHED else at
    return replace(state, attachment=Attachment.ATTACHED, since=since, last_seen=at, reason=reason)


def _older_database(state: State, event: EnvironmentRead) -> Announce:
    return Announce(
        f"the SSO database is at epoch {event.epoch}, and this server has seen epoch {state.epoch}: "
        "an older copy of the database was restored; nothing is taken from it",
        warning=True,
    )


def _passive_environment_read(state: State, event: EnvironmentRead) -> Result:
    if event.epoch < state.epoch:
        return replace(state, database_lost=None), (_older_database(state, event),)
    seen = replace(state, master=event.master, epoch=event.epoch, database_lost=None)
    if event.master == state.server:
        waiting = _detach(seen, "this server is to be the master, and does not act as one yet", event.at)
        return waiting, (ResumeMastership(event.epoch),)
    if event.master is None:
        return _detach(seen, "no server is the master", event.at), ()
    if state.attachment is Attachment.STARTING and 0 < state.epoch < event.epoch:
        # What an old master says that comes back: it is not the master any more, and does not act as one.
        sentence = f"while this server was away, epoch {event.epoch} has begun (master: {event.master}); it was {state.epoch}"
        return seen, (Announce(sentence),)
    return seen, ()


def _passive_master_answered(state: State, event: MasterAnswered) -> Result:
    if event.epoch < state.epoch:
        reason = f"{event.master} answered with epoch {event.epoch}, older than epoch {state.epoch}: its keyring is refused"
        return _detach(state, reason, event.at), (Announce(reason, warning=True),)
    attached = _attach(state, f"refreshed from {event.master}", event.at)
    after = replace(attached, master=event.master, epoch=event.epoch)
    if state.attachment is Attachment.ATTACHED and state.master == event.master:
        return after, ()
    return after, (Announce(f"attached to master {event.master}, epoch {event.epoch}"),)


def _passive_master_lost(state: State, event: MasterLost) -> Result:
    after = _detach(state, event.reason, event.at)
    if state.attachment is Attachment.DETACHED:
        return after, ()
    return after, (Announce(f"detached: {event.reason}", warning=True),)


def _note_database_lost(state: State, event: DatabaseLost) -> Result:
    if state.database_lost is not None:
        return replace(state, database_lost=event.reason), ()
    return replace(state, database_lost=event.reason), (
        Announce(f"the SSO database cannot be reached: {event.reason}", warning=True),
    )


def _activated(state: State, event: Activated) -> Result:
    attached = _attach(state, "this server is the master", event.at)
    after = replace(attached, mastership=Mastership.ACTIVE, master=state.server, epoch=event.epoch, database_lost=None)
    return after, (Announce(f"this server is the master, epoch {event.epoch}"), ReleaseWaiters(), TellOthers())


def _master_environment_read(state: State, event: EnvironmentRead) -> Result:
    if event.epoch < state.epoch:
        unconfirmed = _detach(state, "the SSO database was restored from an older copy", event.at)
        return replace(unconfirmed, mastership=Mastership.UNCONFIRMED, database_lost=None), (_older_database(state, event),)
    if event.epoch == state.epoch and event.master == state.server:
        attached = _attach(state, "this server is the master", event.at)
        after = replace(attached, mastership=Mastership.ACTIVE, database_lost=None)
        if state.mastership is Mastership.ACTIVE:
            return after, ()
        return after, (Announce(f"mastership of epoch {state.epoch} is confirmed again"), ReleaseWaiters(), TellOthers())
    sentence = (
        f"this server was master in epoch {state.epoch}; the database is at epoch {event.epoch} "
        f"(master: {event.master or 'none'}). It has stepped down. Nothing to do here"
    )
    passive = replace(state, mastership=Mastership.PASSIVE, master=event.master, epoch=event.epoch, database_lost=None)
    return _detach(passive, f"stepped down: epoch {event.epoch} has begun", event.at), (
        Announce(sentence, warning=True),
        SteppedDown(state.epoch),
        ReleaseWaiters(),
    )


def _active_database_lost(state: State, event: DatabaseLost) -> Result:
    noted, effects = _note_database_lost(state, event)
    if state.last_seen is not None and event.at.monotonic - state.last_seen.monotonic <= CONFIRMATION_WINDOW:
        return noted, effects
    unconfirmed = _detach(noted, "this master cannot confirm its mastership: the SSO database cannot be reached", event.at)
    return replace(unconfirmed, mastership=Mastership.UNCONFIRMED), (
        *effects,
        Announce("mastership is unconfirmed: the SSO database cannot be reached", warning=True),
        ReleaseWaiters(),
    )


def _deactivated(state: State, event: Deactivated) -> Result:
    # Of a database that was restored from an older copy the epoch is a lower one, which must not be given out twice.
    passive = replace(state, mastership=Mastership.PASSIVE, master=None, epoch=max(state.epoch, event.epoch))
    return _detach(passive, "no server is the master", event.at), (
        Announce(f"this server is no longer the master, epoch {event.epoch}"),
        SteppedDown(state.epoch),
        ReleaseWaiters(),
    )


def _mandate_withdrawn(state: State, event: MandateWithdrawn) -> Result:
    # The database may name this server still: whether it resumes is decided by the mandate that it is given then.
    passive = replace(state, mastership=Mastership.PASSIVE)
    return _detach(passive, "the mandate to act as master was withdrawn from this server", event.at), (
        Announce(f"this server has stepped down from epoch {state.epoch}: its mandate to act as master was withdrawn"),
        SteppedDown(state.epoch),
        ReleaseWaiters(),
    )


def _ignore(state: State, _event: object) -> Result:
    return state, ()


def _passive_deactivated(state: State, event: Deactivated) -> Result:
    if event.epoch < state.epoch:
        return state, ()
    return _detach(replace(state, master=None, epoch=event.epoch), "no server is the master", event.at), ()


_P, _A, _U = Mastership.PASSIVE, Mastership.ACTIVE, Mastership.UNCONFIRMED

# A long poll that was under way may still answer or fail just after this server became the master itself: ignored.
TRANSITIONS: dict[tuple[Mastership, type[Event]], Callable[..., Result]] = {
    (_P, EnvironmentRead): _passive_environment_read,
    (_P, DatabaseLost): _note_database_lost,
    (_P, MasterAnswered): _passive_master_answered,
    (_P, MasterLost): _passive_master_lost,
    (_P, Activated): _activated,
    (_P, Deactivated): _passive_deactivated,
    (_P, MandateWithdrawn): _ignore,
    (_A, EnvironmentRead): _master_environment_read,
    (_A, DatabaseLost): _active_database_lost,
    (_A, MasterAnswered): _ignore,
    (_A, MasterLost): _ignore,
    (_A, Activated): _activated,
    (_A, Deactivated): _deactivated,
    (_A, MandateWithdrawn): _mandate_withdrawn,
    (_U, EnvironmentRead): _master_environment_read,
    (_U, DatabaseLost): _note_database_lost,
    (_U, MasterAnswered): _ignore,
    (_U, MasterLost): _ignore,
    (_U, Activated): _activated,
    (_U, Deactivated): _deactivated,
    (_U, MandateWithdrawn): _mandate_withdrawn,
}


def step(state: State, event: Event) -> Result:
    """The next state and what to carry out, for an event."""
    try:
        transition = TRANSITIONS[state.mastership, type(event)]
    except KeyError:
        raise UnexpectedEvent(f"{type(event).__name__} while {state.mastership}") from None
    return transition(state, event)


def is_attached(state: State, now: float) -> bool:
    """Whether the last answer is recent enough to count, `now` in monotonic seconds."""
    if state.attachment is not Attachment.ATTACHED or state.last_seen is None:
        return False
    if state.mastership is Mastership.ACTIVE:
        # Less, not equal: the next master may begin at the very end of the window.
        return now - state.last_seen.monotonic < CONFIRMATION_WINDOW
    return now - state.last_seen.monotonic <= state.refresh_interval * 1.1 + ATTACHMENT_SLACK


def may_act_as_master(state: State, now: float) -> bool:
    return state.mastership is Mastership.ACTIVE and is_attached(state, now)


def must_wait(earlier_master_confirmed: float | None) -> float:
    """Seconds that a new master waits until the one before it can act no more; see Environment for the argument."""
    return 0.0 if earlier_master_confirmed is None else max(0.0, CONFIRMATION_WINDOW - earlier_master_confirmed)


def mastership_at(state: State, now: float) -> Mastership:
    """What this server may claim now: an old confirmation is none."""
    if state.mastership is Mastership.ACTIVE and not may_act_as_master(state, now):
        return Mastership.UNCONFIRMED
    return state.mastership
