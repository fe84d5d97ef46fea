"""Which unit is given which value, in the database."""

from __future__ import annotations

import pytest

from ssod.errors import UnitCredentialNotFound, UnitCredentialTaken
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application, Field, UnitCredential
from ssod.storage.repository import Database
from ssod.storage.units import UnitCredentialRepository

SFTP = Application("sftp", "", "", True, (), (), (Field("password", masked=True),), 1)
GRANT = UnitCredential("job.service", "password", "sftp", "in", "password")


@pytest.fixture
def repository(database: Database) -> UnitCredentialRepository:
    applications = ApplicationRepository(database)
    for name in ("sftp", "other"):
        applications.put(SFTP._replace(name=name), None)
    return UnitCredentialRepository(database)


def test_a_grant_is_made_moved_and_taken_away(repository: UnitCredentialRepository) -> None:
    """Each says whether it changes anything."""
    assert repository.put(GRANT, dry_run=False)
    assert not repository.put(GRANT, dry_run=False)
    moved = GRANT._replace(config="out")
    assert repository.put(moved, dry_run=False)
    assert repository.find(["job.service"], "password") == moved
    assert repository.delete("sftp", "job.service", "password", dry_run=False) == moved
    with pytest.raises(UnitCredentialNotFound, match=r"job\.service is given no credential password"):
        repository.find(["job.service"], "password")


def test_what_is_only_tried_leaves_all_as_it_is(repository: UnitCredentialRepository) -> None:
    """It says what would change, and refuses what would be refused."""
    assert repository.put(GRANT, dry_run=True)
    with pytest.raises(UnitCredentialNotFound):
        repository.delete("sftp", "job.service", "password", dry_run=True)
    repository.put(GRANT, dry_run=False)
    assert repository.delete("sftp", "job.service", "password", dry_run=True) == GRANT
    assert repository.of("sftp") == [GRANT]


def test_an_instance_has_its_own_grant_before_that_of_its_template(repository: UnitCredentialRepository) -> None:
    """The first of the names asked for that has a grant counts."""
    template = GRANT._replace(unit="job@.service", config="all")
    repository.put(template, dry_run=False)
    assert repository.find(["job@a.service", "job@.service"], "password") == template
    own = template._replace(unit="job@a.service", config="a")
    repository.put(own, dry_run=False)
    assert repository.find(["job@a.service", "job@.service"], "password") == own
    assert repository.find(["job@b.service", "job@.service"], "password") == template


def test_another_application_neither_takes_nor_ends_a_grant(repository: UnitCredentialRepository) -> None:
    """Who administers one application has no hand in what another gives."""
    repository.put(GRANT, dry_run=False)
    with pytest.raises(UnitCredentialTaken):
        repository.put(GRANT._replace(application="other"), dry_run=False)
    with pytest.raises(UnitCredentialNotFound):
        repository.delete("other", "job.service", "password", dry_run=False)
    assert repository.of("sftp") == [GRANT]
    assert repository.of("other") == []


@pytest.mark.parametrize(("mine", "theirs"), [("job@.service", "job@a.service"), ("job@a.service", "job@.service")])
def test_another_application_gives_an_instance_nothing_in_the_name_of_its_template(
    repository: UnitCredentialRepository, mine: str, theirs: str
) -> None:
    """An instance's own grant would go before the one of the template; of another name, or of another unit, it is free."""
    repository.put(GRANT._replace(unit=mine), dry_run=False)
    other = GRANT._replace(unit=theirs, application="other")
    for dry_run in (True, False):
        with pytest.raises(UnitCredentialTaken, match=rf"unit {mine} is given credential password by another application"):
            repository.put(other, dry_run=dry_run)
    assert repository.put(other._replace(credential="key"), dry_run=False)
    assert repository.put(other._replace(unit="jobs@a.service"), dry_run=False)
    assert repository.put(other._replace(unit="job@a.socket"), dry_run=False)
    assert repository.put(GRANT._replace(unit=theirs, config="own"), dry_run=False)


def test_the_grants_of_an_application_go_with_it(repository: UnitCredentialRepository, database: Database) -> None:
    """They are no data that would be lost: nothing else has to be said."""
    repository.put(GRANT, dry_run=False)
    ApplicationRepository(database).delete("sftp", with_data=False)
    with pytest.raises(UnitCredentialNotFound):
        repository.find(["job.service"], "password")
