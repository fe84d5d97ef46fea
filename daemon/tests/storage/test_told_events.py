"""Of all servers that see an event begin, or end, the database lets one tell it: on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from at_once import at_once
from keys import secret
from sqlalchemy import update

from ssod.core.events import HOLD_OFF, KINDS, Told
from ssod.core.findings import Reported
from ssod.storage import schema as t
from ssod.storage.events import KEPT, EventRepository
from ssod.storage.records import BackupRecord, KeyRecord, ServerReport
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository

LOST = ("SsoMasterLost", "", "")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def events(database: Database) -> EventRepository:
    return EventRepository(database)


def age(database: Database, seconds: float) -> None:
    """What has ended did so this much earlier."""
    with database.transaction() as connection:
        connection.execute(update(t.told_event).values(ended_at=t.told_event.c.ended_at - seconds))


def begun(events: EventRepository) -> Told:
    told = events.begin(*LOST)
    assert told is not None
    return told


def test_of_twenty_that_see_it_at_once_one_tells_each_beginning_and_each_end(open_database: Callable[[], Database]) -> None:
    """Also of one that was told before, whose row is there."""
    databases = [open_database() for _ in range(20)]
    every = [EventRepository(each) for each in databases]
    for _ in range(3):
        began = [told for told in at_once([partial(each.begin, *LOST) for each in every]) if told is not None]
        assert len(began) == 1
        assert isinstance(began[0], Told), began
        ended = [told for told in at_once([partial(each.end, began[0]) for each in every]) if told is not None]
        assert len(ended) == 1
        assert isinstance(ended[0], Told), ended
        assert ended[0].began_at == began[0].began_at <= (ended[0].ended_at or 0)
        age(databases[0], HOLD_OFF)


def test_what_was_told_is_told_once_until_it_is_over(events: EventRepository) -> None:
    told = begun(events)
    assert events.begin(*LOST) is None
    assert events.look(False).told == (told,)
    ended = events.end(told)
    assert ended is not None
    assert events.end(told) is None
    assert events.look(False).told == (ended,)


def test_what_flaps_is_held_off_by_the_clock_of_the_database(events: EventRepository, database: Database) -> None:
    assert events.end(begun(events))
    assert events.begin(*LOST) is None
    age(database, HOLD_OFF - 30)
    assert events.begin(*LOST) is None
    age(database, 30)
    assert events.begin(*LOST) is not None


def test_an_end_that_arrives_late_does_not_end_what_began_anew(events: EventRepository, database: Database) -> None:
    """By when it began: the same event holds again."""
    first = begun(events)
    assert events.end(first)
    age(database, HOLD_OFF)
    second = begun(events)
    assert events.end(first) is None
    assert events.look(False).told == (second,)


def test_each_server_has_events_of_its_own(events: EventRepository) -> None:
    for name in ("m1", "m2"):
        assert events.begin("SsoServerDown", name, "")
    assert events.begin("SsoServerDown", "m1", "") is None


def test_what_ended_long_ago_is_forgotten(events: EventRepository, database: Database) -> None:
    """And nothing that still holds."""
    assert events.end(begun(events))
    open_one = events.begin("SsoServerDown", "m1", "")
    age(database, KEPT + 1)
    assert events.begin("SsoServerDown", "m2", "")
    told = events.look(False).told
    assert {each.subject for each in told} == {"m1", "m2"}
    assert open_one in told


def test_the_longest_names_fit(events: EventRepository) -> None:
    for event in KINDS:
        assert events.begin(event, "x" * 253, "-" * 40)


def test_a_look_shows_the_environment_at_one_moment_of_the_clock_of_the_database(
    events: EventRepository, database: Database
) -> None:
    """Who confirmed when, which secret is current and since when, whether it is backed up, and what each server reported."""
    empty = events.look(True)
    assert (empty.master, empty.epoch, empty.confirmed_at, empty.key_id, empty.created_at) == (None, 0, None, None, None)
    assert (empty.backed_up, empty.servers, empty.told) == (False, (), ())
    environment, servers = EnvironmentRepository(database), ServerRepository(database)
    servers.enrol("m1", "m1:7443", True, NOW)
    servers.report("m1", ServerReport(True, "1" * 32, None, 1, "1"), NOW)
    environment.activate("m1", 0, None)
    key = secret(1).id
    environment.add_first_secret("m1", 1, KeyRecord(key, b"canary", NOW))
    unconfirmed = events.look(False)
    assert (unconfirmed.master, unconfirmed.epoch, unconfirmed.confirmed_at) == ("m1", 1, None)
    assert (unconfirmed.backed_up, unconfirmed.servers) == (False, None)
    environment.confirm("m1", 1)
    environment.record_backup("m1", 1, BackupRecord("a" * 64, key, NOW, "m1:/backup", "passphrase"))
    seen = events.look(True)
    assert seen.confirmed_at is not None
    assert 0 <= seen.now - seen.confirmed_at < 30
    assert (seen.key_id, seen.created_at, seen.backed_up) == (key.hex(), NOW, True)
    assert seen.servers == (Reported("m1", True, "1" * 32, None, NOW),)
