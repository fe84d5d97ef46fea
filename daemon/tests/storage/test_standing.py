"""What holds everywhere at once, in the database: the members of the roles, and whether SSO is disabled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from at_once import at_once

from ssod.errors import InvalidValue
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application, Standing
from ssod.storage.repository import Database
from ssod.storage.standing import StandingRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
APP = Application("app", "", "", True, (), (), (), 0)


@pytest.fixture
def repository(database: Database) -> StandingRepository:
    return StandingRepository(database)


def test_a_new_environment_names_nobody_and_is_enabled(repository: StandingRepository) -> None:
    assert repository.read() == Standing((), {}, None)


def test_everything_that_decides_over_a_request_comes_at_once(repository: StandingRepository, database: Database) -> None:
    application = ApplicationRepository(database).put(APP, 0)
    repository.put_members("sso_auditor", ["user:eve"])
    repository.put_disabled(NOW)
    assert repository.read() == Standing((application,), {"sso_auditor": frozenset({"user:eve"})}, NOW)


def test_members_are_replaced_and_those_of_other_roles_stay(repository: StandingRepository) -> None:
    """The earlier ones are told to who replaces them."""
    repository.put_members("sso_administrator", ["group:a"])
    assert repository.put_members("sso_auditor", ["user:b", "user:a", "user:b"]) == frozenset()
    assert repository.put_members("sso_auditor", ["user:c"]) == {"user:a", "user:b"}
    assert repository.read().members == {"sso_administrator": {"group:a"}, "sso_auditor": {"user:c"}}
    assert repository.put_members("sso_auditor", []) == {"user:c"}
    assert repository.read().members == {"sso_administrator": {"group:a"}}


def test_of_many_who_replace_members_at_once_one_wins_whole(
    open_database: Callable[[], Database], repository: StandingRepository
) -> None:
    """The lists are not mixed, and nobody is told that the database is broken."""
    lists = [[f"user:{n}a", f"user:{n}b"] for n in range(8)]
    writers = [StandingRepository(open_database()) for _ in lists]
    outcomes = at_once([partial(w.put_members, "sso_auditor", each) for w, each in zip(writers, lists, strict=True)])
    assert all(isinstance(each, frozenset) for each in outcomes), outcomes
    assert repository.read().members["sso_auditor"] in [frozenset(each) for each in lists]


def test_sso_stays_disabled_since_the_first_time(repository: StandingRepository) -> None:
    """Until it is enabled; enabling what is enabled is no change."""
    assert repository.put_disabled(NOW) == NOW
    assert repository.put_disabled(NOW + timedelta(hours=1)) == NOW
    assert repository.put_disabled(None) is None
    assert repository.put_disabled(None) is None
    assert repository.read().disabled_at is None


def test_a_principal_that_an_engine_cannot_keep_is_the_input_s_fault(repository: StandingRepository) -> None:
    try:
        repository.put_members("sso_auditor", ["user:a\0b"])
    except InvalidValue:
        assert repository.read().members == {}
