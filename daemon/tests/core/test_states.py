"""The state machine: every row, every pair that is not listed, any sequence of events, and every crash of a promotion."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssod.core.states import (
    ATTACHMENT_SLACK,
    CONFIRMATION_WINDOW,
    TRANSITIONS,
    Activated,
    Announce,
    Attachment,
    DatabaseLost,
    Deactivated,
    EnvironmentRead,
    Event,
    Instant,
    MandateWithdrawn,
    MasterAnswered,
    MasterLost,
    Mastership,
    ReleaseWaiters,
    ResumeMastership,
    State,
    SteppedDown,
    TellOthers,
    UnexpectedEvent,
    is_attached,
    mastership_at,
    may_act_as_master,
    must_wait,
    step,
)

STARTING, ATTACHED, DETACHED = Attachment
PASSIVE, ACTIVE, UNCONFIRMED = Mastership
EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def at(seconds: float) -> Instant:
    return Instant(seconds, EPOCH + timedelta(seconds=seconds))


NOW, LATER, LONG_AFTER = at(100), at(105), at(500)

START = State("me", 60, since=at(0))
FOLLOWER = replace(START, attachment=ATTACHED, master="m1", epoch=3, since=at(10), last_seen=NOW, reason="refreshed from m1")
LOST = replace(FOLLOWER, attachment=DETACHED, since=NOW, reason="silence")
MASTER = replace(FOLLOWER, mastership=ACTIVE, master="me", reason="this server is the master")
DOUBTED = replace(MASTER, mastership=UNCONFIRMED, attachment=DETACHED, since=NOW, database_lost="no route")


@dataclass(frozen=True)
class Row:
    """One behaviour of one row of TRANSITIONS: the members of `then` are compared, and the kinds of the effects."""

    says: str
    given: State
    event: Event
    then: dict[str, object]
    effects: tuple[type, ...] = ()
    warning: bool | None = None


ROWS = [
    # passive, the database is read
    Row("learns of a master", START, EnvironmentRead("m1", 3, NOW), {"attachment": STARTING, "master": "m1", "epoch": 3}),
    Row("is without a master", START, EnvironmentRead(None, 0, NOW), {"attachment": DETACHED, "master": None, "since": NOW}),
    Row("loses its master to none", FOLLOWER, EnvironmentRead(None, 4, LATER), {"attachment": DETACHED, "epoch": 4, "since": NOW}),
    Row("hears of another master", FOLLOWER, EnvironmentRead("m2", 4, LATER), {"attachment": ATTACHED, "master": "m2", "epoch": 4}),
    Row("is called the master", START, EnvironmentRead("me", 3, NOW), {"mastership": PASSIVE, "epoch": 3}, (ResumeMastership,)),
    Row(
        "was master before it was away",
        replace(START, epoch=2),
        EnvironmentRead("m2", 3, NOW),
        {"mastership": PASSIVE, "epoch": 3, "master": "m2"},
        (Announce,),
        False,
    ),
    Row(
        "takes nothing from an older database",
        FOLLOWER,
        EnvironmentRead("me", 2, LATER),
        {"attachment": ATTACHED, "master": "m1", "epoch": 3},
        (Announce,),
        True,
    ),
    Row(
        "finds the database again",
        replace(FOLLOWER, database_lost="x"),
        EnvironmentRead("m1", 3, LATER),
        {"database_lost": None, "attachment": ATTACHED},
    ),
    # passive, the rest
    Row(
        "loses the database and nothing else",
        FOLLOWER,
        DatabaseLost("no route", LATER),
        {"database_lost": "no route", "attachment": ATTACHED},
        (Announce,),
        True,
    ),
    Row(
        "does not repeat that the database is lost",
        replace(FOLLOWER, database_lost="x"),
        DatabaseLost("no route", LATER),
        {"database_lost": "no route"},
    ),
    Row(
        "attaches",
        START,
        MasterAnswered("m1", 3, NOW),
        {"attachment": ATTACHED, "master": "m1", "epoch": 3, "since": NOW, "last_seen": NOW},
        (Announce,),
        False,
    ),
    Row("is refreshed in silence", FOLLOWER, MasterAnswered("m1", 3, LATER), {"since": at(10), "last_seen": LATER}),
    Row("attaches again", LOST, MasterAnswered("m1", 3, LATER), {"attachment": ATTACHED, "since": LATER}, (Announce,), False),
    Row("moves to a newer master", FOLLOWER, MasterAnswered("m2", 4, LATER), {"master": "m2", "epoch": 4}, (Announce,), False),
    Row(
        "refuses an older epoch",
        FOLLOWER,
        MasterAnswered("m0", 2, LATER),
        {"attachment": DETACHED, "master": "m1", "epoch": 3, "since": NOW},
        (Announce,),
        True,
    ),
    Row(
        "loses its master since it was last seen",
        FOLLOWER,
        MasterLost("silence", LATER),
        {"attachment": DETACHED, "since": NOW, "reason": "silence"},
        (Announce,),
        True,
    ),
    Row("goes on being lost", LOST, MasterLost("refused", LATER), {"attachment": DETACHED, "since": NOW, "reason": "refused"}),
    Row("never saw a master", START, MasterLost("silence", NOW), {"attachment": DETACHED, "since": NOW}, (Announce,), True),
    Row(
        "becomes the master",
        LOST,
        Activated(4, LATER),
        {"attachment": ATTACHED, "mastership": ACTIVE, "master": "me", "epoch": 4, "since": LATER, "last_seen": LATER},
        (Announce, ReleaseWaiters, TellOthers),
        False,
    ),
    Row("keeps the newer epoch of a deactivation", START, Deactivated(3, NOW), {"mastership": PASSIVE, "epoch": 3}),
    Row("keeps its epoch at an old deactivation", FOLLOWER, Deactivated(2, NOW), {"mastership": PASSIVE, "epoch": 3}),
    Row(
        "is deactivated when it has stepped down already",
        replace(LOST, master="me"),
        Deactivated(4, LATER),
        {"mastership": PASSIVE, "master": None, "epoch": 4, "since": NOW},
    ),
    Row("has no mandate and needs none", FOLLOWER, MandateWithdrawn(LATER), {"attachment": ATTACHED, "mastership": PASSIVE}),
    # active
    Row("is confirmed in silence", MASTER, EnvironmentRead("me", 3, LATER), {"mastership": ACTIVE, "last_seen": LATER}),
    Row(
        "steps down",
        MASTER,
        EnvironmentRead("m2", 4, LATER),
        {"mastership": PASSIVE, "master": "m2", "epoch": 4, "attachment": DETACHED, "since": NOW},
        (Announce, SteppedDown, ReleaseWaiters),
        True,
    ),
    Row(
        "steps down to none",
        MASTER,
        EnvironmentRead(None, 4, LATER),
        {"mastership": PASSIVE, "master": None, "epoch": 4},
        (Announce, SteppedDown, ReleaseWaiters),
        True,
    ),
    Row(
        "steps down at its own epoch with another master",
        MASTER,
        EnvironmentRead("m2", 3, LATER),
        {"mastership": PASSIVE, "master": "m2"},
        (Announce, SteppedDown, ReleaseWaiters),
        True,
    ),
    Row(
        "doubts a database that is older than itself",
        MASTER,
        EnvironmentRead("me", 2, LATER),
        {"mastership": UNCONFIRMED, "epoch": 3, "attachment": DETACHED},
        (Announce,),
        True,
    ),
    Row(
        "acts for a while without the database",
        MASTER,
        DatabaseLost("no route", at(100 + CONFIRMATION_WINDOW)),
        {"mastership": ACTIVE, "attachment": ATTACHED, "database_lost": "no route"},
        (Announce,),
        True,
    ),
    Row(
        "stops acting without the database",
        MASTER,
        DatabaseLost("no route", at(100.1 + CONFIRMATION_WINDOW)),
        {"mastership": UNCONFIRMED, "attachment": DETACHED, "since": NOW},
        (Announce, Announce, ReleaseWaiters),
        True,
    ),
    Row("ignores a late answer", MASTER, MasterAnswered("m1", 2, LATER), {"mastership": ACTIVE, "master": "me"}),
    Row("ignores a late loss", MASTER, MasterLost("silence", LATER), {"mastership": ACTIVE, "master": "me"}),
    Row(
        "is activated again",
        MASTER,
        Activated(4, LATER),
        {"mastership": ACTIVE, "epoch": 4, "last_seen": LATER},
        (Announce, ReleaseWaiters, TellOthers),
        False,
    ),
    Row(
        "is deactivated",
        MASTER,
        Deactivated(4, LATER),
        {"mastership": PASSIVE, "master": None, "epoch": 4, "attachment": DETACHED},
        (Announce, SteppedDown, ReleaseWaiters),
        False,
    ),
    Row(
        "loses its mandate",
        MASTER,
        MandateWithdrawn(LATER),
        {"mastership": PASSIVE, "master": "me", "epoch": 3, "attachment": DETACHED, "since": NOW},
        (Announce, SteppedDown, ReleaseWaiters),
        False,
    ),
    # unconfirmed
    Row(
        "loses its mandate in doubt",
        DOUBTED,
        MandateWithdrawn(LATER),
        {"mastership": PASSIVE, "master": "me", "epoch": 3, "attachment": DETACHED, "since": NOW},
        (Announce, SteppedDown, ReleaseWaiters),
        False,
    ),
    Row(
        "is confirmed again",
        DOUBTED,
        EnvironmentRead("me", 3, LATER),
        {"mastership": ACTIVE, "attachment": ATTACHED, "database_lost": None, "last_seen": LATER},
        (Announce, ReleaseWaiters, TellOthers),
        False,
    ),
    Row(
        "finds that it was replaced",
        DOUBTED,
        EnvironmentRead("m2", 4, LATER),
        {"mastership": PASSIVE, "master": "m2", "epoch": 4},
        (Announce, SteppedDown, ReleaseWaiters),
        True,
    ),
    Row("stays in doubt", DOUBTED, DatabaseLost("refused", LATER), {"mastership": UNCONFIRMED, "database_lost": "refused"}),
    Row("ignores a late answer in doubt", DOUBTED, MasterAnswered("m1", 2, LATER), {"mastership": UNCONFIRMED, "master": "me"}),
    Row("ignores a late loss in doubt", DOUBTED, MasterLost("silence", LATER), {"mastership": UNCONFIRMED}),
    Row(
        "is activated out of its doubt",
        DOUBTED,
        Activated(4, LATER),
        {"mastership": ACTIVE, "epoch": 4, "database_lost": None},
        (Announce, ReleaseWaiters, TellOthers),
        False,
    ),
    Row(
        "is deactivated in doubt",
        DOUBTED,
        Deactivated(4, LATER),
        {"mastership": PASSIVE, "master": None, "epoch": 4},
        (Announce, SteppedDown, ReleaseWaiters),
        False,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_a_row(row: Row) -> None:
    """From this state, by this event: the members that the row names, and just these effects."""
    after, effects = step(row.given, row.event)
    assert {name: getattr(after, name) for name in row.then} == row.then
    assert tuple(type(effect) for effect in effects) == row.effects
    warnings = [effect.warning for effect in effects if isinstance(effect, Announce)]
    assert row.warning is None or warnings[-1] is row.warning
    assert after.server == row.given.server


def test_every_row_of_the_table_is_tested() -> None:
    """TRANSITIONS has no row that ROWS does not take."""
    assert {(row.given.mastership, type(row.event)) for row in ROWS} == TRANSITIONS.keys()


class Unlisted:
    """An event of no row."""


@pytest.mark.parametrize("mastership", Mastership)
def test_an_event_that_is_not_listed_is_a_defect(mastership: Mastership) -> None:
    """What the table does not list raises; it is never guessed."""
    with pytest.raises(UnexpectedEvent, match=f"Unlisted while {mastership}"):
        step(replace(START, mastership=mastership), Unlisted())  # type: ignore[arg-type]


def test_every_pair_of_mastership_and_event_is_listed() -> None:
    """There is no event that some mastership cannot see, so no pair of both is left to raise."""
    events = (EnvironmentRead, DatabaseLost, MasterAnswered, MasterLost, Activated, Deactivated, MandateWithdrawn)
    assert TRANSITIONS.keys() == {(mastership, event) for mastership in Mastership for event in events}


def test_an_attachment_grows_old() -> None:
    """A server whose master answered last a refresh, its jitter and the slack ago is not attached any more."""
    limit = 60 * 1.1 + ATTACHMENT_SLACK
    assert is_attached(FOLLOWER, 100 + limit)
    assert not is_attached(FOLLOWER, 100.1 + limit)
    assert not is_attached(LOST, 100)
    assert not is_attached(START, 0)


def test_a_confirmation_grows_old_by_itself() -> None:
    """A master that was paused for longer than the window finds itself unconfirmed before any event has told it."""
    assert may_act_as_master(MASTER, 99.9 + CONFIRMATION_WINDOW)
    assert mastership_at(MASTER, 99.9 + CONFIRMATION_WINDOW) is ACTIVE
    assert not may_act_as_master(MASTER, 100 + CONFIRMATION_WINDOW)
    assert mastership_at(MASTER, 100 + CONFIRMATION_WINDOW) is UNCONFIRMED
    assert not may_act_as_master(FOLLOWER, 100)
    assert not may_act_as_master(DOUBTED, 100)


def test_a_step_down_names_both_epochs_and_the_new_master() -> None:
    """What an old master says can be acted on by somebody who reads nothing else."""
    _, effects = step(MASTER, EnvironmentRead("m2", 4, LATER))
    (sentence,) = [effect.sentence for effect in effects if isinstance(effect, Announce)]
    assert "master in epoch 3" in sentence
    assert "epoch 4 (master: m2)" in sentence
    assert "stepped down" in sentence
    assert SteppedDown(3) in effects


@pytest.mark.parametrize(("confirmed", "wait"), [(None, 0), (0, CONFIRMATION_WINDOW), (2, CONFIRMATION_WINDOW - 2), (1e6, 0)])
def test_a_new_master_waits_for_what_is_left_of_the_earlier_one(confirmed: float | None, wait: float) -> None:
    """Nothing when the earlier one stepped down or was never confirmed; else what is left of its window."""
    assert must_wait(confirmed) == wait


class World:
    """One database and its masters, and the events that one server can meet in it: what the database says is true, or old."""

    def __init__(self) -> None:
        self.epoch = 0
        self.master: str | None = None


NAMES = st.sampled_from(["me", "m1", "m2", None])
CHOICES = st.tuples(
    st.sampled_from(
        [
            "read",
            "read-old",
            "database-lost",
            "answered",
            "answered-old",
            "lost",
            "others-activate",
            "activate",
            "deactivate",
            "withdraw",
        ]
    ),
    st.floats(0, 20),
    NAMES,
)


def happen(world: World, state: State, choice: str, now: Instant, name: str | None) -> Event | None:  # noqa: PLR0911  one return a choice
    """The event of a choice in this world; None when it cannot happen."""
    match choice:
        case "read":
            return EnvironmentRead(world.master, world.epoch, now)
        case "read-old":
            return EnvironmentRead(name, max(0, world.epoch - 1), now)
        case "database-lost":
            return DatabaseLost("no route", now)
        case "answered" if world.master not in {None, "me"}:
            assert world.master is not None
            return MasterAnswered(world.master, world.epoch, now)
        case "answered-old" if world.epoch > 1:
            return MasterAnswered("m0", world.epoch - 1, now)
        case "lost":
            return MasterLost("silence", now)
        case "withdraw":
            return MandateWithdrawn(now)
        case "others-activate" if name not in {None, "me"}:
            world.master, world.epoch = name, world.epoch + 1
        case "activate":
            world.master, world.epoch = "me", world.epoch + 1
            return Activated(world.epoch, now)
        case "deactivate" if world.master == "me" and state.mastership is not PASSIVE and state.epoch == world.epoch:
            world.master, world.epoch = None, world.epoch + 1
            return Deactivated(world.epoch, now)
    return None


@given(st.lists(CHOICES, max_size=40))
def test_no_sequence_of_events_breaks_what_must_stay_true(choices: list[tuple[str, float, str | None]]) -> None:
    """Epochs never fall; only the named master acts, and never on an old confirmation; no answer of an older epoch attaches."""
    world, state, seconds, confirmed = World(), START, 0.0, -1e9
    for choice, pause, name in choices:
        seconds += pause
        now = at(seconds)
        event = happen(world, state, choice, now, name)
        if event is None:
            continue
        before, (state, _) = state, step(state, event)
        if isinstance(event, Activated) or (
            isinstance(event, EnvironmentRead) and (event.master, event.epoch) == ("me", before.epoch)
        ):
            confirmed = seconds
        assert state.epoch >= before.epoch
        if state.mastership is not PASSIVE:
            assert state.master == "me"
        if may_act_as_master(state, seconds):
            assert seconds - confirmed <= CONFIRMATION_WINDOW
        assert not may_act_as_master(state, seconds + CONFIRMATION_WINDOW + 0.001)
        if isinstance(event, MasterAnswered) and event.epoch < before.epoch and before.mastership is PASSIVE:
            assert state.attachment is not ATTACHED
            assert (state.master, state.epoch) == (before.master, before.epoch)
        if isinstance(event, EnvironmentRead) and event.epoch > before.epoch and event.master != "me":
            assert state.mastership is PASSIVE
        if isinstance(event, MandateWithdrawn):
            assert state.mastership is PASSIVE
        if state.attachment is ATTACHED:
            assert state.last_seen is not None
            assert state.since.monotonic <= state.last_seen.monotonic


# A promotion of `me` from m1, as the events that the process takes one after the other. The database's own row is changed
# between the second and the third.
PROMOTION: list[Event] = [
    DatabaseLost("no route", at(101)),
    EnvironmentRead("m1", 3, at(102)),
    Activated(4, at(103)),
    EnvironmentRead("me", 4, at(104)),
]


@pytest.mark.parametrize("crash_after", range(len(PROMOTION) + 1))
def test_a_crash_anywhere_in_a_promotion_is_mended_by_the_next_start(crash_after: int) -> None:
    """What a crash leaves is the database alone; a start reads it, and ends as master just when the database says so."""
    state = LOST
    for event in PROMOTION[:crash_after]:
        state, _ = step(state, event)
    for activated in {crash_after >= 3, crash_after >= 2}:  # the row may be changed and the process not have heard of it
        database = EnvironmentRead("me", 4, at(200)) if activated else EnvironmentRead("m1", 3, at(200))
        # A standby that restarts knows the epoch of its sealed copy: the old one, or the new one.
        for sealed_epoch in {3, state.epoch}:
            restarted = replace(START, epoch=min(sealed_epoch, database.epoch), since=at(190))
            after, effects = step(restarted, database)
            assert after.mastership is PASSIVE
            assert (ResumeMastership(4) in effects) == activated
            if activated:
                resumed, _ = step(after, Activated(4, at(201)))
                assert may_act_as_master(resumed, 201)
                assert resumed.epoch == 4
            else:
                assert after.master == "m1"


@pytest.mark.parametrize("crash_after", range(len(PROMOTION) + 1))
def test_the_old_master_steps_down_wherever_the_promotion_stopped(crash_after: int) -> None:
    """Whatever the new master got to do, the old one goes by the database: it acts, or it steps down."""
    old = replace(MASTER, server="m1", master="m1")
    activated = crash_after >= 3
    after, _ = step(old, EnvironmentRead("me", 4, LONG_AFTER) if activated else EnvironmentRead("m1", 3, LONG_AFTER))
    assert may_act_as_master(after, LONG_AFTER.monotonic) != activated
