"""A rotation in the database: the switch is one act, values are brought over in batches, and no needed key is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from at_once import at_once
from keys import counting, secret
from sqlalchemy import text

from ssod.errors import StaleEpoch, VersionConflict
from ssod.storage.applications import ApplicationRepository
from ssod.storage.mappings import MappingRepository
from ssod.storage.records import Application, ApplicationType, BackupRecord, ConfigRecord, Field, KeyRecord, Mapping, MappingChange
from ssod.storage.repository import Database, EnvironmentRepository
from ssod.storage.rotation import RotationRepository, StoredValue, ValuePlace

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OLD, NEW = secret(1).id, secret(2).id


def key(number: int) -> KeyRecord:
    return KeyRecord(secret(number).id, secret(number).canary(counting()), NOW)


def backup(held: bytes) -> BackupRecord:
    return BackupRecord("b" * 64, held, NOW, "m1:/backup", "passphrase")


@pytest.fixture
def environment(database: Database) -> EnvironmentRepository:
    """Of the master m1 in epoch 1, with the secret OLD."""
    environment = EnvironmentRepository(database)
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, key(1))
    return environment


@pytest.fixture
def rotation(database: Database, environment: EnvironmentRepository) -> RotationRepository:
    return RotationRepository(database)


def rotated(environment: EnvironmentRepository, rotation: RotationRepository) -> None:
    rotation.prepare("m1", 1, key(2))
    environment.record_backup("m1", 1, backup(OLD), {OLD, NEW})
    rotation.switch("m1", 1, OLD, NEW, NOW)


def test_the_next_key_is_no_key_of_the_database_yet(environment: EnvironmentRepository, rotation: RotationRepository) -> None:
    """A keyring without it is whole: its canary is not among those that must open."""
    rotation.prepare("m1", 1, key(2))
    found = environment.read()
    assert found.next_key is not None
    assert (found.next_key.key_id, found.next_key.backup) == (NEW, None)
    assert set(found.canaries) == {OLD}
    rotation.prepare("m1", 1, key(3))
    assert environment.read().next_key[0] == secret(3).id  # type: ignore[index]


def test_a_backup_counts_for_the_next_key_if_it_holds_it(environment: EnvironmentRepository, rotation: RotationRepository) -> None:
    """One that was made before the next key was does not."""
    rotation.prepare("m1", 1, key(2))
    environment.record_backup("m1", 1, backup(OLD), {OLD})
    assert environment.read().next_key.backup is None  # type: ignore[union-attr]
    environment.record_backup("m1", 1, backup(OLD), {OLD, NEW})
    assert environment.read().next_key.backup == backup(NEW)  # type: ignore[union-attr]


def test_the_switch_is_one_act(environment: EnvironmentRepository, rotation: RotationRepository) -> None:
    """The next key is the current one with its backup, the other one is retired, and nothing is next."""
    rotated(environment, rotation)
    found = environment.read()
    assert (found.current_key_id, found.next_key, found.backup) == (NEW, None, backup(NEW))
    assert {each.key_id: each.retired_at for each in found.keys} == {OLD: NOW, NEW: None}


@pytest.mark.parametrize("how", ["no backup", "another current key", "another next key", "nothing next"])
def test_a_switch_of_something_else_is_refused(environment: EnvironmentRepository, rotation: RotationRepository, how: str) -> None:
    """What was decided on must still be so, and without a verified backup nothing becomes current."""
    if how != "nothing next":
        rotation.prepare("m1", 1, key(2))
    if how not in {"no backup", "nothing next"}:
        environment.record_backup("m1", 1, backup(OLD), {OLD, NEW})
    before = environment.read()
    current = secret(9).id if how == "another current key" else OLD
    coming = secret(9).id if how == "another next key" else NEW
    with pytest.raises(VersionConflict):
        rotation.switch("m1", 1, current, coming, NOW)
    assert environment.read() == before


@pytest.mark.parametrize(("server", "epoch"), [("m2", 1), ("m1", 0), ("m1", 2)])
def test_who_is_not_the_master_of_the_epoch_changes_nothing(
    environment: EnvironmentRepository, rotation: RotationRepository, server: str, epoch: int
) -> None:
    """Each step checks it in its own transaction."""
    rotation.prepare("m1", 1, key(2))
    environment.record_backup("m1", 1, backup(OLD), {OLD, NEW})
    before = environment.read()
    for step in (
        partial(rotation.prepare, server, epoch, key(3)),
        partial(rotation.switch, server, epoch, OLD, NEW, NOW),
        partial(rotation.replace, server, epoch, OLD, []),
        partial(rotation.prune, server, epoch, [OLD]),
    ):
        with pytest.raises(StaleEpoch):
            step()
    assert environment.read() == before


def test_of_two_switches_at_once_one_is_done(
    environment: EnvironmentRepository, rotation: RotationRepository, open_database: Callable[[], Database]
) -> None:
    """The other finds nothing that is next."""
    rotation.prepare("m1", 1, key(2))
    environment.record_backup("m1", 1, backup(OLD), {OLD, NEW})
    both = [RotationRepository(open_database()) for _ in range(2)]
    outcomes = at_once([partial(each.switch, "m1", 1, OLD, NEW, NOW) for each in both])
    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "VersionConflict"]


# 3 configurations of 2 fields and 2 mappings of 1: what there is to bring over, in the order in which that is done.
PLACES = [
    *(ValuePlace("config", "store", name, field) for name in ("a", "b", "c") for field in ("x", "y")),
    *(ValuePlace("mapping", "people", f"user:{name}", "x") for name in ("a", "b")),
]


@pytest.fixture
def filled(database: Database, environment: EnvironmentRepository) -> ApplicationRepository:
    """With a value at each of PLACES, under OLD."""
    applications, fields = ApplicationRepository(database), (Field("x"), Field("y"))
    for name, kind in (("store", ApplicationType.CONFIG_STORE), ("people", ApplicationType.INDIVIDUAL)):
        applications.put(Application(name, "", "", True, (), (), fields, 0, kind), None)
    for name in ("a", "b", "c"):
        applications.put_config(ConfigRecord("store", name, 0, NOW, {"x": b"old", "y": b"old"}), OLD, 0)
    changes = [
        MappingChange(Mapping(f"user:{name}", name, 0, False, False, 0, None, {"x": OLD}), {"x": b"old"}) for name in ("a", "b")
    ]
    MappingRepository(database).put("people", changes, OLD, NOW)
    return applications


def renew(rotation: RotationRepository, after: ValuePlace | None, limit: int) -> list[StoredValue]:
    """One batch."""
    values = rotation.under_others(NEW, after, limit)
    assert {value.envelope for value in values} <= {b"old"}
    assert rotation.replace("m1", 1, NEW, [(value, b"new") for value in values]) == len(values)
    return values


def test_what_is_left_is_counted_by_its_keys(rotation: RotationRepository, filled: ApplicationRepository) -> None:
    """Of both kinds of values; of no key, nothing."""
    assert [rotation.left(keys) for keys in ([OLD], [NEW], [], [OLD, NEW])] == [len(PLACES), 0, 0, len(PLACES)]


@pytest.mark.parametrize("limit", [1, 3, 6, 7, 8, 100])
def test_all_values_are_brought_over_whatever_the_batch(
    environment: EnvironmentRepository, rotation: RotationRepository, filled: ApplicationRepository, limit: int
) -> None:
    """In order, each one once, and none is asked for again afterwards."""
    rotated(environment, rotation)
    assert rotation.counts() == {OLD: 8}
    seen: list[ValuePlace] = []
    while batch := renew(rotation, seen[-1] if seen else None, limit):
        seen += [value.place for value in batch]
    assert seen == PLACES
    assert rotation.counts() == {NEW: 8}
    assert filled.config("store", "b").envelopes == {"x": b"new", "y": b"new"}
    assert rotation.under_others(NEW, None, limit) == []


def test_a_value_that_somebody_has_written_meanwhile_stays_as_it_is(
    environment: EnvironmentRepository, rotation: RotationRepository, filled: ApplicationRepository
) -> None:
    """Of what was read before that, only the others are replaced."""
    rotated(environment, rotation)
    values = rotation.under_others(NEW, None, 100)
    filled.put_config(ConfigRecord("store", "b", 1, NOW, {"x": b"newer"}), NEW, 1)
    assert rotation.replace("m1", 1, NEW, [(value, b"new") for value in values]) == 6
    assert filled.config("store", "b").envelopes == {"x": b"newer"}
    assert rotation.counts() == {NEW: 7}


def test_values_are_brought_under_the_current_key_only(
    environment: EnvironmentRepository, rotation: RotationRepository, filled: ApplicationRepository
) -> None:
    """Whoever works for an earlier rotation is told that there has been another."""
    rotated(environment, rotation)
    with pytest.raises(VersionConflict):
        rotation.replace("m1", 1, OLD, [(value, b"new") for value in rotation.under_others(NEW, None, 100)])
    assert rotation.counts() == {OLD: 8}


def test_a_key_that_a_value_is_under_is_not_forgotten(
    environment: EnvironmentRepository, rotation: RotationRepository, filled: ApplicationRepository
) -> None:
    """One that nothing is under goes, with its backups; the current one stays even if it is named."""
    rotated(environment, rotation)
    renew(rotation, None, 7)
    with pytest.raises(VersionConflict):
        rotation.prune("m1", 1, [OLD])
    assert len(environment.read().keys) == 2
    renew(rotation, None, 7)
    rotation.prune("m1", 1, [OLD, NEW])
    found = environment.read()
    assert (set(found.canaries), found.backup) == ({NEW}, backup(NEW))


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_a_value_that_somebody_is_writing_is_left_out_and_nobody_waits(
    environment: EnvironmentRepository, rotation: RotationRepository, filled: ApplicationRepository, database: Database
) -> None:
    """PostgreSQL locks rows: the batch passes over them. (SQLite has one writer at a time.)"""
    rotated(environment, rotation)
    values = rotation.under_others(NEW, None, 100)
    with database.transaction() as connection:
        connection.execute(text("SELECT * FROM config_value WHERE name = 'b' FOR UPDATE"))
        assert rotation.replace("m1", 1, NEW, [(value, b"new") for value in values]) == 6
    assert rotation.counts() == {OLD: 2, NEW: 6}
