"""Credential mappings in the database: all or nothing, one account a principal, and only the current key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from at_once import at_once
from keys import counting, secret
from sqlalchemy import text

from ssod.errors import ApplicationNotFound, ExternalIdTaken, InvalidValue, MappingNotFound, VersionConflict
from ssod.storage.applications import ApplicationRepository, StaleKey
from ssod.storage.mappings import MappingRepository
from ssod.storage.records import Application, ApplicationType, Field, KeyRecord, Mapping, MappingChange
from ssod.storage.repository import Database, EnvironmentRepository
from ssod.storage.tickets import KEPT, TicketRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY, OTHER = secret(1).id, secret(2).id
FIELDS = (Field("password", masked=True), Field("pin", masked=True))


def application(name: str, kind: ApplicationType) -> Application:
    return Application(name, "", "", True, (), (), FIELDS, 0, kind)


def change(principal: str, account: str, version: int = 0, position: int = 0, **envelopes: bytes) -> MappingChange:
    mapping = Mapping(principal, account, position, False, False, version, None, dict.fromkeys(envelopes, KEY))
    return MappingChange(mapping, dict(envelopes))


@pytest.fixture
def repository(database: Database) -> MappingRepository:
    environment = EnvironmentRepository(database)
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, KeyRecord(KEY, secret(1).canary(counting()), NOW))
    with database.transaction() as connection:
        connection.execute(
            text("INSERT INTO master_key (key_id, canary, created_at) VALUES (:i, :c, :t)"), {"i": OTHER, "c": b"canary", "t": NOW}
        )
    applications = ApplicationRepository(database)
    for kind in ApplicationType:
        applications.put(application(kind.value, kind), None)
    return MappingRepository(database)


def accounts(repository: MappingRepository, name: str = "individual") -> dict[str, str]:
    return {mapping.principal: mapping.external_id for mapping in repository.page(name, "", 1000)}


def test_a_mapping_is_kept_as_it_was_given(repository: MappingRepository) -> None:
    """Every part comes back, with the key of each value; the first version is 1."""
    wanted = change("user:a", "A1", position=3, password=b"p", pin=b"n")
    wanted = wanted._replace(mapping=wanted.mapping._replace(disabled_by_user=True, disabled_by_administrator=True))
    repository.put("individual", [wanted], KEY, NOW)
    stored = wanted.mapping._replace(version=1, updated_at=NOW)
    assert repository.find("individual", ["user:a", "user:b"]) == {"user:a": (stored, {"password": b"p", "pin": b"n"})}
    assert repository.page("individual", "", 10) == [stored]


def test_values_stay_when_none_are_given_and_are_replaced_as_a_whole(repository: MappingRepository) -> None:
    """No envelopes: as they are; others: just those; an empty bag: none."""
    repository.put("individual", [change("user:a", "A", password=b"p", pin=b"n")], KEY, NOW)
    repository.put("individual", [change("user:a", "B", 1)._replace(envelopes=None)], None, NOW)
    assert repository.find("individual", ["user:a"])["user:a"].envelopes == {"password": b"p", "pin": b"n"}
    repository.put("individual", [change("user:a", "B", 2, pin=b"2")], KEY, NOW)
    assert repository.find("individual", ["user:a"])["user:a"].envelopes == {"pin": b"2"}
    repository.put("individual", [change("user:a", "B", 3)], None, NOW)
    found = repository.find("individual", ["user:a"])["user:a"]
    assert (found.envelopes, found.mapping.version, found.mapping.key_ids) == ({}, 4, {})


def test_mappings_are_listed_page_by_page(repository: MappingRepository) -> None:
    """In the order of their principals, whatever number of values each has; and those of one account alone."""
    repository.put("individual", [change(f"user:{n:02}", f"A{n}", password=b"p", pin=b"n") for n in range(25)], KEY, NOW)
    seen, after = [], ""
    while page := repository.page("individual", after, 10):
        assert all(sorted(each.key_ids) == ["password", "pin"] for each in page)
        seen += [each.principal for each in page]
        after = page[-1].principal
    assert seen == [f"user:{n:02}" for n in range(25)]
    assert [each.principal for each in repository.page("individual", "", 10, "A7", exclusive=True)] == ["user:07"]
    repository.put("group", [change(f"group:{n}", "shared") for n in range(3)], None, NOW)
    assert [each.principal for each in repository.page("group", "group:0", 10, "shared")] == ["group:1", "group:2"]


def test_the_first_by_position_is_found(repository: MappingRepository) -> None:
    """Of what the principals have; of two at one position the one that comes first by name; None of none."""
    placed = [("group:z", 1), ("group:a", 2), ("group:c", 1), ("group:first", 0)]
    repository.put("group", [change(name, "X", position=at, password=b"p") for name, at in placed], KEY, NOW)

    def first(*principals: str) -> str | None:
        found = repository.first("group", principals)
        assert found is None or found.envelopes == {"password": b"p"}
        return found.mapping.principal if found else None

    assert first("group:z", "group:a", "group:c") == "group:c"
    assert first("group:a", "group:unknown") == "group:a"
    assert first("group:unknown") is None
    assert first() is None


def test_all_changes_are_made_or_none(repository: MappingRepository) -> None:
    """One that is refused takes the others with it, and is named first in its condition."""
    repository.put("individual", [change("user:a", "A")], None, NOW)
    good = change("user:b", "B", password=b"p")
    for bad, error in [
        (change("user:c", "A"), ExternalIdTaken),
        (change("user:c", "B"), ExternalIdTaken),
        (change("user:c", "C", 4), VersionConflict),
        (change("user:c", "C", unknown=b"x"), InvalidValue),
        (change("group:c", "C"), InvalidValue),
    ]:
        with pytest.raises(error) as refusal:
            repository.put("individual", [good, bad], KEY, NOW)
        assert any(condition.startswith(f"{bad.mapping.principal}: ") for condition in refusal.value.conditions) or (
            bad.mapping.external_id == "B" and refusal.value.conditions[0].startswith("user:b: B is given to user:c")
        )
        assert accounts(repository) == {"user:a": "A"}


def test_two_principals_may_exchange_their_accounts(repository: MappingRepository) -> None:
    """Also where one takes what another lets go of; and a change that keeps its own account is none."""
    repository.put("individual", [change("user:a", "A"), change("user:b", "B"), change("user:c", "C")], None, NOW)
    repository.put("individual", [change("user:a", "B", 1), change("user:b", "A", 1), change("user:c", "C", 1, 5)], None, NOW)
    assert accounts(repository) == {"user:a": "B", "user:b": "A", "user:c": "C"}
    repository.put("individual", [change("user:a", "D", 2), change("user:e", "B")], None, NOW)
    assert accounts(repository) == {"user:a": "D", "user:b": "A", "user:c": "C", "user:e": "B"}


def test_a_group_s_account_may_be_shared(repository: MappingRepository) -> None:
    """Only individual applications keep one account for one principal."""
    repository.put("group", [change("group:a", "X"), change("group:b", "X")], None, NOW)
    assert accounts(repository, "group") == {"group:a": "X", "group:b": "X"}


@pytest.mark.parametrize(
    ("name", "principal"),
    [("individual", "group:a"), ("host_group", "user:a"), ("host_group", "group:a"), ("config_store", "user:a"), ("group", "a")],
)
def test_each_type_maps_its_own_principals(repository: MappingRepository, name: str, principal: str) -> None:
    """The type is looked at in the transaction that writes."""
    with pytest.raises(InvalidValue):
        repository.put(name, [change(principal, "X")], None, NOW)
    with pytest.raises(ApplicationNotFound):
        repository.put("nothing", [change("user:a", "X")], None, NOW)


def test_a_value_is_refused_under_a_key_that_is_not_current(repository: MappingRepository) -> None:
    """Nothing is stored under a retired key or an unknown one; what has no values needs none."""
    for key in (OTHER, bytes(16)):
        with pytest.raises(StaleKey):
            repository.put("individual", [change("user:a", "A", password=b"p")], key, NOW)
    repository.put("individual", [change("user:a", "A")], None, NOW)
    assert accounts(repository) == {"user:a": "A"}


def test_of_many_writers_of_one_version_one_wins(open_database: Callable[[], Database], repository: MappingRepository) -> None:
    """For a new mapping and for a change: the others are told that somebody wrote first."""
    for version in (0, 1):
        writers = [MappingRepository(open_database()) for _ in range(6)]
        calls = [partial(w.put, "individual", [change("user:a", f"A{n}", version)], None, NOW) for n, w in enumerate(writers)]
        outcomes = at_once(calls)
        assert outcomes.count(None) == 1
        assert sum(isinstance(each, VersionConflict) for each in outcomes) == 5, outcomes


def test_of_many_that_want_one_account_one_gets_it(open_database: Callable[[], Database], repository: MappingRepository) -> None:
    """The others are told whose it is."""
    writers = [MappingRepository(open_database()) for _ in range(6)]
    outcomes = at_once([partial(w.put, "individual", [change(f"user:{n}", "A")], None, NOW) for n, w in enumerate(writers)])
    assert outcomes.count(None) == 1
    assert sum(isinstance(each, ExternalIdTaken) for each in outcomes) == 5, outcomes


def test_a_mapping_is_deleted_with_its_values(repository: MappingRepository) -> None:
    """Just that one, and only the version that was looked at."""
    repository.put("individual", [change("user:a", "A", password=b"p"), change("user:b", "B", password=b"q")], KEY, NOW)
    with pytest.raises(VersionConflict):
        repository.delete("individual", "user:a", 2)
    repository.delete("individual", "user:a", 1)
    assert accounts(repository) == {"user:b": "B"}
    with pytest.raises(MappingNotFound):
        repository.delete("individual", "user:a", 1)
    repository.put("individual", [change("user:a", "A")], None, NOW)
    assert repository.find("individual", ["user:a"])["user:a"].envelopes == {}


def test_a_ticket_is_redeemed_once_on_all_servers(open_database: Callable[[], Database], repository: MappingRepository) -> None:
    """Of many at one moment one is the first."""
    servers = [TicketRepository(open_database()) for _ in range(6)]
    outcomes = at_once([partial(server.redeem, bytes(16), NOW, NOW) for server in servers])
    assert outcomes.count(True) == 1
    assert all(each is False or isinstance(each, VersionConflict) for each in outcomes if each is not True), outcomes
    assert servers[0].redeem(b"1" * 16, NOW, NOW)


def test_a_redeemed_ticket_is_forgotten_when_its_time_is_long_over(database: Database, repository: MappingRepository) -> None:
    """Its row goes with the next one that is redeemed."""
    tickets = TicketRepository(database)
    assert tickets.redeem(bytes(16), NOW, NOW)
    assert not tickets.redeem(bytes(16), NOW, NOW + KEPT)
    tickets.redeem(b"1" * 16, NOW + 2 * KEPT, NOW + 2 * KEPT)
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM redeemed_ticket")).scalar_one() == 1
