"""The environment in the database: one wins each epoch, and whoever is not the master of the epoch writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from at_once import at_once
from keys import counting, secret
from sqlalchemy import text
from waiting import wait_for

from ssod.errors import SecretExists, ServerNotFound, StaleEpoch
from ssod.storage.records import BackupRecord, KeyRecord, ServerReport
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REPORT = ServerReport(True, "ab" * 16, None, 3, "0.1.0")


def key(number: int) -> KeyRecord:
    return KeyRecord(secret(number).id, secret(number).canary(counting()), NOW)


def backup(digest: str, minutes: int = 0, number: int = 1) -> BackupRecord:
    return BackupRecord(digest * 64, secret(number).id, NOW + timedelta(minutes=minutes), "m1:/backup", "passphrase")


@pytest.fixture
def environment(database: Database) -> EnvironmentRepository:
    return EnvironmentRepository(database)


@pytest.fixture
def servers(database: Database) -> ServerRepository:
    return ServerRepository(database)


def test_of_twenty_that_activate_at_once_one_wins_each_epoch(open_database: Callable[[], Database]) -> None:
    """In every epoch just one compare-and-set succeeds, and each loser is told who won."""
    contenders = {f"s{number}": EnvironmentRepository(open_database()) for number in range(20)}
    for epoch in range(4):
        outcomes = at_once([partial(each.activate, name, epoch, None) for name, each in contenders.items()])
        assert outcomes.count(epoch + 1) == 1
        winner = list(contenders)[outcomes.index(epoch + 1)]
        found = next(iter(contenders.values())).read()
        assert (found.master, found.epoch) == (winner, epoch + 1)
        for refusal in outcomes:
            if refusal != epoch + 1:
                assert isinstance(refusal, StaleEpoch)
                assert f"(master: {winner})" in refusal.detail


@pytest.mark.parametrize("expected", [0, 2, 99])
def test_an_activation_that_expects_another_epoch_changes_nothing(environment: EnvironmentRepository, expected: int) -> None:
    """Both an older and a newer epoch than the database's are refused."""
    environment.activate("m1", 0, None)
    with pytest.raises(StaleEpoch, match="the database is at epoch 1"):
        environment.activate("m2", expected, None)
    assert environment.read()[1:3] == ("m1", 1)


def test_a_deactivation_leaves_no_master_and_a_newer_epoch(environment: EnvironmentRepository) -> None:
    """The epoch rises, so that nothing the old master began can end."""
    environment.activate("m1", 0, None)
    assert environment.deactivate("m1", 1, acts=True) == 2
    assert environment.read()[1:3] == (None, 2)


@pytest.mark.parametrize(("name", "epoch"), [("m2", 1), ("m1", 0), ("m1", 2)])
def test_only_the_master_of_the_epoch_deactivates(environment: EnvironmentRepository, name: str, epoch: int) -> None:
    """Another server, or the same one in another epoch, takes the mastership from nobody."""
    environment.activate("m1", 0, None)
    with pytest.raises(StaleEpoch):
        environment.deactivate(name, epoch, acts=True)
    assert environment.read()[1:3] == ("m1", 1)


def test_a_confirmation_is_seen_by_the_master_of_the_next_epoch(environment: EnvironmentRepository) -> None:
    """It is so many seconds old, by the database's clock; the master of its own epoch does not wait for itself."""
    environment.activate("m1", 0, None)
    assert environment.confirm("m1", 1).environment.earlier_master_confirmed is None
    assert environment.read().earlier_master_confirmed is None
    environment.activate("m2", 1, None)
    found = environment.read().earlier_master_confirmed
    assert found is not None
    assert 0 <= found < 60


@pytest.mark.parametrize(("name", "epoch"), [("m1", 1), ("m1", 2), ("m3", 2)])
def test_who_is_not_the_master_confirms_nothing(environment: EnvironmentRepository, name: str, epoch: int) -> None:
    """An old master that asks learns who is master now, and writes nothing down."""
    environment.activate("m1", 0, None)
    environment.activate("m2", 1, None)
    assert environment.confirm(name, epoch).environment.master == "m2"
    environment.activate("m4", 2, None)
    assert environment.read().earlier_master_confirmed is None


def test_nobody_waits_for_a_master_that_has_stepped_down(environment: EnvironmentRepository) -> None:
    """It takes its own confirmation back, and no other's."""
    environment.activate("m1", 0, None)
    confirmed = environment.confirm("m1", 1).environment.confirmation
    environment.activate("m2", 1, None)
    for epoch, confirmation in ((9, confirmed), (1, None), (1, 0.5)):
        environment.stepped_down(epoch, confirmation)
        assert environment.read().earlier_master_confirmed is not None
    environment.stepped_down(1, confirmed)
    assert environment.read().earlier_master_confirmed is None


def test_a_confirmation_stands_until_the_master_that_was_deactivated_says_so(environment: EnvironmentRepository) -> None:
    """The master that is activated next begins at once."""
    environment.activate("m1", 0, None)
    confirmed = environment.confirm("m1", 1).environment.confirmation
    environment.deactivate("m1", 1, acts=True)
    environment.activate("m2", 2, None)
    assert environment.read().earlier_master_confirmed is not None  # m1 acts until it has heard of its deactivation
    environment.stepped_down(1, confirmed)
    assert environment.read().earlier_master_confirmed is None


def test_the_confirmation_of_one_that_acts_no_more_ends_with_its_deactivation(environment: EnvironmentRepository) -> None:
    """Also one that was written after it had ceased, by a look at the database that was under way."""
    environment.activate("m1", 0, None)
    environment.confirm("m1", 1)
    environment.deactivate("m1", 1, acts=False)
    environment.confirm("m1", 1)
    environment.activate("m2", 2, None)
    assert environment.read().earlier_master_confirmed is None


@pytest.mark.parametrize("acts", [True, False])
def test_a_deactivation_takes_nobody_else_s_confirmation_back(environment: EnvironmentRepository, acts: bool) -> None:
    """Whoever was named master and never came to act leaves the wait for the one before it as it is."""
    environment.activate("m1", 0, None)
    environment.confirm("m1", 1)
    environment.activate("m2", 1, None)
    environment.deactivate("m2", 2, acts=acts)
    environment.activate("m3", 3, None)
    assert environment.read().earlier_master_confirmed is not None


def test_the_first_secret_becomes_current(environment: EnvironmentRepository) -> None:
    """Its id and canary are kept as they were given, with the time in UTC."""
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, key(1))
    found = environment.read()
    assert found.current_key_id == secret(1).id
    assert found.keys == (key(1),)
    assert secret(1).opens_canary(found.canaries[secret(1).id])
    assert found.backup is None


def test_of_many_first_secrets_at_once_one_is_kept(open_database: Callable[[], Database]) -> None:
    """There is one first secret, however many threads of the master make one."""
    contenders = [EnvironmentRepository(open_database()) for _ in range(8)]
    contenders[0].activate("m1", 0, None)
    outcomes = at_once([partial(each.add_first_secret, "m1", 1, key(number)) for number, each in enumerate(contenders)])
    assert outcomes.count(None) == 1
    assert sum(isinstance(each, SecretExists) for each in outcomes) == 7
    found = contenders[0].read()
    assert [each.key_id for each in found.keys] == [found.current_key_id] == [secret(outcomes.index(None)).id]


@pytest.mark.parametrize(("name", "epoch"), [("m2", 1), ("m1", 0), ("m1", 2)])
def test_who_is_not_the_master_of_the_epoch_writes_nothing(environment: EnvironmentRepository, name: str, epoch: int) -> None:
    """Secrets and backups of an old or a wrong master are refused, in the same transaction."""
    environment.activate("m1", 0, None)
    with pytest.raises(StaleEpoch):
        environment.add_first_secret(name, epoch, key(1))
    environment.add_first_secret("m1", 1, key(1))
    with pytest.raises(StaleEpoch):
        environment.record_backup(name, epoch, backup("a"))
    assert environment.read().backup is None


def test_the_backup_that_counts_is_the_newest_of_the_current_secret(environment: EnvironmentRepository) -> None:
    """Older ones do not hide it, and the same file verified again is the same backup at a later time."""
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, key(1))
    environment.record_backup("m1", 1, backup("a", minutes=5))
    environment.record_backup("m1", 1, backup("b", minutes=1))
    assert environment.read().backup == backup("a", minutes=5)
    environment.record_backup("m1", 1, backup("b", minutes=9))
    assert environment.read().backup == backup("b", minutes=9)


def test_a_backup_of_a_retired_secret_does_not_count(database: Database, environment: EnvironmentRepository) -> None:
    """When the current secret changes, its backup is asked for anew."""
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, key(1))
    environment.record_backup("m1", 1, backup("a"))
    with database.transaction() as connection:
        record = key(2)
        connection.execute(
            text("INSERT INTO master_key (key_id, canary, created_at) VALUES (:i, :c, :t)"),
            {"i": record.key_id, "c": record.canary, "t": NOW},
        )
        connection.execute(text("UPDATE environment SET current_key_id = :i"), {"i": record.key_id})
    assert environment.read().backup is None


def test_a_database_that_takes_writes_says_so(environment: EnvironmentRepository) -> None:
    """A primary, or a file that may be written."""
    assert environment.is_writable()


def test_a_server_is_enrolled_changed_and_removed(servers: ServerRepository) -> None:
    """Enrolling again changes what was said, and keeps what the server said of itself."""
    assert servers.enrol("s1", "10.0.0.1:7443", False, NOW).attached is None
    servers.report("s1", REPORT, NOW)
    changed = servers.enrol("s1", "10.0.0.2:7443", True, NOW + timedelta(days=1))
    assert (changed.address, changed.may_become_master, changed.attached, changed.last_seen) == ("10.0.0.2:7443", True, True, NOW)
    assert servers.all() == (changed,)
    servers.remove("s1", NOW)
    assert servers.all() == ()


def test_where_an_audit_log_ends_stays_known_when_a_server_does_not_say(servers: ServerRepository) -> None:
    """A server that has just started has not looked yet."""
    servers.enrol("s1", "10.0.0.1:7443", False, NOW)
    servers.report("s1", REPORT._replace(audit_sequence=2**40, audit_head="c" * 64), NOW)
    servers.report("s1", REPORT, NOW + timedelta(days=1))
    (server,) = servers.all()
    assert (server.audit_sequence, server.audit_head, server.last_seen) == (2**40, "c" * 64, NOW + timedelta(days=1))


def test_a_server_that_is_not_enrolled_cannot_report_itself_in(servers: ServerRepository) -> None:
    """A report makes no row."""
    servers.report("stranger", REPORT, NOW)
    assert servers.all() == ()


def test_removing_a_server_that_is_not_there_says_so(servers: ServerRepository) -> None:
    """It is absent, by name."""
    with pytest.raises(ServerNotFound, match="s9"):
        servers.remove("s9", NOW)


def test_one_server_enrolled_many_times_at_once_is_one_row(open_database: Callable[[], Database]) -> None:
    """Nobody is told that the database is broken because somebody else was first."""
    outcomes = at_once([partial(ServerRepository(open_database()).enrol, "s1", f"10.0.0.{n}:7443", False, NOW) for n in range(8)])
    assert {getattr(each, "problem", "enrolled") for each in outcomes} <= {"enrolled", "version-conflict"}
    assert [server.name for server in ServerRepository(open_database()).all()] == ["s1"]


def test_the_database_notes_since_when_an_epoch_is_what_it_is(environment: EnvironmentRepository) -> None:
    """By its own clock, at each change of it and at nothing else; before the first one there is nothing to note."""
    assert environment.read().epoch_since is None
    before = datetime.now(UTC)
    environment.activate("m1", 0, None)
    first = environment.read().epoch_since
    assert first is not None
    assert before - timedelta(milliseconds=1) <= first <= datetime.now(UTC)  # SQLite knows milliseconds
    environment.confirm("m1", 1)
    environment.stepped_down(1, None)
    assert environment.read().epoch_since == first
    wait_for(lambda: datetime.now(UTC) - first > timedelta(milliseconds=2), "the clock has gone on")
    environment.deactivate("m1", 1, acts=False)
    second = environment.read().epoch_since
    assert second is not None
    assert second > first
