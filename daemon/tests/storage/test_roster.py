"""What tells a server that other servers are enrolled than those it knows, so that it need not read them at each look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from at_once import at_once
from sqlalchemy import text

from ssod.storage.records import ServerReport
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REPORT = ServerReport(True, "ab" * 16, None, 3, "0.1.0")

CHANGES: dict[str, Callable[[ServerRepository], object]] = {
    "enrolled": lambda servers: servers.enrol("s2", "s2:1", False, NOW),
    "another address": lambda servers: servers.enrol("s1", "s1:2", False, NOW),
    "may become master": lambda servers: servers.enrol("s1", "s1:1", True, NOW),
    "removed": lambda servers: servers.remove("s1", NOW),
}

# As an ssod of the version before does it, which knows of no roster.
OLDER = {
    "enrolled": "INSERT INTO server (name, address, may_become_master, enrolled_at) VALUES ('s2', 's2:1', false, '2026-01-02')",
    "changed": "UPDATE server SET address = 's1:2', may_become_master = false WHERE name = 's1'",
    "removed": "DELETE FROM server WHERE name = 's1'",
}


@pytest.fixture
def environment(database: Database) -> EnvironmentRepository:
    return EnvironmentRepository(database)


@pytest.fixture
def servers(database: Database) -> ServerRepository:
    """With one that is enrolled."""
    servers = ServerRepository(database)
    servers.enrol("s1", "s1:1", False, NOW)
    return servers


def test_servers_that_are_known_are_not_read_again(environment: EnvironmentRepository, servers: ServerRepository) -> None:
    """Neither when one reports, which each does every minute, nor by the master that confirms itself."""
    environment.activate("m1", 0, None)
    known = environment.look()
    assert [each.name for each in known.servers or ()] == ["s1"]
    for _ in range(3):
        servers.report("s1", REPORT, NOW)
        assert environment.look(known.environment.roster).servers is None
        assert environment.confirm("m1", 1, known.environment.roster).servers is None


@pytest.mark.parametrize("change", CHANGES)
def test_servers_are_read_again_when_others_are_enrolled(
    environment: EnvironmentRepository, servers: ServerRepository, change: str
) -> None:
    """By the next look, in the same transaction as the change; and by one of each before that knows an older roster."""
    rosters = [environment.read().roster]
    CHANGES[change](servers)
    found = environment.look(rosters[0])
    assert found.servers == servers.all()
    assert found.environment.roster not in rosters


@pytest.mark.parametrize("change", OLDER)
def test_what_an_older_version_enrols_and_removes_is_seen(
    environment: EnvironmentRepository, servers: ServerRepository, database: Database, change: str
) -> None:
    before = environment.read().roster
    with database.transaction() as connection:
        connection.execute(text(OLDER[change]))
    assert environment.look(before).servers == servers.all()


def test_a_roster_is_never_given_out_twice(environment: EnvironmentRepository, servers: ServerRepository) -> None:
    """Also not by a database that is restored from an older copy, and goes another way from there: it is no counter."""
    seen = {environment.read().roster}
    for number in range(20):
        servers.enrol("s1", f"s1:{number}", False, NOW)
        seen.add(environment.read().roster)
    assert len(seen) == 21


def test_of_many_who_enrol_and_remove_at_once_nobody_waits_in_a_circle(
    open_database: Callable[[], Database], servers: ServerRepository
) -> None:
    """An enrolment of a server that is just being removed: either order, and no word of a broken database."""

    def act(repository: ServerRepository, number: int) -> None:
        if number % 2:
            repository.enrol("s1", f"s1:{number}", False, NOW)
        elif any(each.name == "s1" for each in repository.all()):
            repository.remove("s1", NOW)

    for _ in range(3):
        outcomes = at_once([partial(act, ServerRepository(open_database()), number) for number in range(8)])
        assert {type(each).__name__ for each in outcomes} <= {"NoneType", "ServerNotFound", "VersionConflict"}, outcomes
