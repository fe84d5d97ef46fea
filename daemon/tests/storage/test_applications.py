"""Applications and configurations in the database: versions, deletions, and the key that is current when a row is written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from at_once import at_once
from keys import counting, secret
from sqlalchemy import func, insert, select, text

from ssod.errors import ApplicationInUse, ApplicationNotFound, ConfigNotFound, InvalidValue, VersionConflict
from ssod.storage import schema as t
from ssod.storage.applications import ApplicationRepository, StaleKey
from ssod.storage.records import Application, ApplicationType, ConfigRecord, Field, KeyRecord
from ssod.storage.repository import Database, EnvironmentRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY, OTHER = secret(1).id, secret(2).id
FIELDS = (Field("host"), Field("password", masked=True))
SFTP = Application("sftp", "file transfer", "ops@example.org", True, ("group:owners",), ("certificate:job",), FIELDS, 1)


def config(name: str = "in", version: int = 0, **envelopes: bytes) -> ConfigRecord:
    return ConfigRecord("sftp", name, version, NOW, dict(envelopes))


@pytest.fixture
def with_secret(database: Database) -> Database:
    environment = EnvironmentRepository(database)
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, KeyRecord(KEY, secret(1).canary(counting()), NOW))
    with database.transaction() as connection:
        connection.execute(
            text("INSERT INTO master_key (key_id, canary, created_at) VALUES (:i, :c, :t)"), {"i": OTHER, "c": b"canary", "t": NOW}
        )
    return database


@pytest.fixture
def repository(with_secret: Database) -> ApplicationRepository:
    made = ApplicationRepository(with_secret)
    made.put(SFTP, None)
    return made


def test_an_application_is_kept_as_it_was_given(repository: ApplicationRepository) -> None:
    """Every part comes back, and the first version is 1."""
    assert repository.find("sftp") == SFTP
    assert repository.all() == [SFTP]


def test_a_change_raises_the_version_and_an_equal_one_does_not(repository: ApplicationRepository) -> None:
    """Writing the same again is no change."""
    assert repository.put(SFTP._replace(version=77), None).version == 1
    assert repository.put(SFTP._replace(contact="x"), None) == SFTP._replace(contact="x", version=2)
    assert repository.find("sftp").version == 2


@pytest.mark.parametrize("expected", [0, 2])
def test_a_change_of_another_version_is_refused(repository: ApplicationRepository, expected: int) -> None:
    """`if_version` is the version that is there; 0 means that there must be none."""
    with pytest.raises(VersionConflict, match=f"version {expected} was expected"):
        repository.put(SFTP._replace(contact="x"), expected)
    assert repository.find("sftp") == SFTP


def test_applications_are_listed_by_name(repository: ApplicationRepository) -> None:
    """In the order of their names, whenever they were made."""
    for name in ("zeta", "alpha"):
        repository.put(SFTP._replace(name=name), 0)
    assert [application.name for application in repository.all()] == ["alpha", "sftp", "zeta"]


def test_what_is_not_there_is_absent_by_name(repository: ApplicationRepository) -> None:
    """Applications and configurations, read or deleted."""
    for absent in (repository.find, partial(repository.delete, with_data=True)):
        with pytest.raises(ApplicationNotFound, match="nothing"):
            absent("nothing")
    for missing in (repository.config, repository.delete_config):
        with pytest.raises(ConfigNotFound, match="nothing"):
            missing("sftp", "nothing")
    with pytest.raises(ApplicationNotFound):
        repository.put_config(config()._replace(application="nothing"), KEY, 0)


def test_a_configuration_is_kept_replaced_and_deleted(repository: ApplicationRepository) -> None:
    """A new version is the new bag alone: fields that are not in it are gone."""
    assert repository.put_config(config(host=b"h", password=b"p"), KEY, 0) == 1
    assert repository.config("sftp", "in") == config(version=1, host=b"h", password=b"p")
    later = NOW + timedelta(hours=1)
    assert repository.put_config(config(host=b"h2")._replace(updated_at=later), KEY, 1) == 2
    assert repository.config("sftp", "in") == config(version=2, host=b"h2")._replace(updated_at=later)
    assert repository.delete_config("sftp", "in") == 2
    assert repository.configs("sftp") == []


def test_an_empty_configuration_is_one(repository: ApplicationRepository) -> None:
    """A bag without properties is there, with a version."""
    assert repository.put_config(config(), KEY, 0) == 1
    assert repository.config("sftp", "in").envelopes == {}


def test_configurations_are_listed_with_their_fields_and_no_value(repository: ApplicationRepository) -> None:
    """Names and versions, in order."""
    repository.put_config(config("out", host=b"h"), KEY, 0)
    repository.put_config(config("in", password=b"p", host=b"h"), KEY, 0)
    assert [(c.name, c.version, c.updated_at, c.fields) for c in repository.configs("sftp")] == [
        ("in", 1, NOW, ("host", "password")),
        ("out", 1, NOW, ("host",)),
    ]


def test_a_row_is_refused_under_a_key_that_is_not_current(repository: ApplicationRepository) -> None:
    """Nothing is stored under a retired key, a key to come, or an unknown one."""
    repository.put_config(config(host=b"h"), KEY, 0)
    for key in (OTHER, bytes(16), b""):
        with pytest.raises(StaleKey):
            repository.put_config(config(host=b"new"), key, 1)
    assert repository.config("sftp", "in") == config(version=1, host=b"h")


def test_the_key_is_compared_in_the_transaction_that_writes(repository: ApplicationRepository, with_secret: Database) -> None:
    """A write that waits while the key is changed finds the new key, and is refused."""
    began = threading.Event()

    def write() -> int:
        began.set()
        return repository.put_config(config(host=b"h"), KEY, 0)

    with ThreadPoolExecutor(1) as pool:
        with with_secret.transaction() as connection:
            connection.execute(text("UPDATE environment SET current_key_id = :i"), {"i": OTHER})
            writing = pool.submit(write)
            assert began.wait(5)
        with pytest.raises(StaleKey):
            writing.result(10)
    assert repository.configs("sftp") == []


@pytest.mark.parametrize("expected", [0, 2])
def test_a_configuration_of_another_version_is_refused(repository: ApplicationRepository, expected: int) -> None:
    """The stored one stays as it was."""
    repository.put_config(config(host=b"h"), KEY, 0)
    with pytest.raises(VersionConflict):
        repository.put_config(config(host=b"new"), KEY, expected)
    assert repository.config("sftp", "in").envelopes == {"host": b"h"}


def test_of_many_writers_of_one_version_one_wins(open_database: Callable[[], Database], repository: ApplicationRepository) -> None:
    """For a new configuration and for a change: the others are told that somebody wrote first."""
    for version in (0, 1):
        writers = [ApplicationRepository(open_database()) for _ in range(8)]
        outcomes = at_once([partial(w.put_config, config(host=b"%d" % n), KEY, version) for n, w in enumerate(writers)])
        assert outcomes.count(version + 1) == 1
        assert sum(isinstance(each, VersionConflict) for each in outcomes) == 7
        assert repository.config("sftp", "in").envelopes == {"host": b"%d" % outcomes.index(version + 1)}


def test_of_many_that_make_one_application_one_wins(open_database: Callable[[], Database]) -> None:
    """The others are told that somebody wrote first, not that the database is broken."""
    makers = [ApplicationRepository(open_database()) for _ in range(8)]
    outcomes = at_once([partial(maker.put, SFTP._replace(contact=str(n)), 0) for n, maker in enumerate(makers)])
    assert sum(isinstance(each, Application) for each in outcomes) == 1
    assert sum(isinstance(each, VersionConflict) for each in outcomes) == 7, outcomes


def test_an_application_with_configuration_is_deleted_only_when_that_is_said(repository: ApplicationRepository) -> None:
    """First it is refused with the count; then everything of it is gone, and nothing of others."""
    repository.put(SFTP._replace(name="other"), 0)
    for application in ("sftp", "other"):
        repository.put_config(config(host=b"h")._replace(application=application), KEY, 0)
    with pytest.raises(ApplicationInUse, match="1 configurations and 0 mappings"):
        repository.delete("sftp", with_data=False)
    repository.delete("sftp", with_data=True)
    assert [application.name for application in repository.all()] == ["other"]
    assert repository.config("other", "in").envelopes == {"host": b"h"}
    repository.put(SFTP, 0)
    assert repository.configs("sftp") == []


def test_a_text_that_an_engine_cannot_keep_is_the_input_s_fault(repository: ApplicationRepository) -> None:
    """PostgreSQL has no NUL in a text: that is an answer to the caller, never a lost database."""
    try:
        kept = repository.put(SFTP._replace(contact="a\0b"), None)
        assert kept.contact == "a\0b"
    except InvalidValue:
        assert repository.find("sftp") == SFTP
    with pytest.raises((ApplicationNotFound, InvalidValue)):
        repository.find("a\0b")


def test_texts_beyond_ascii_and_statements_in_names_are_just_text(repository: ApplicationRepository) -> None:
    """What looks like SQL is a name."""
    odd = SFTP._replace(description="naïve 口 🗝", contact="'; DROP TABLE config; --")
    repository.put(odd, None)
    assert repository.find("sftp") == odd._replace(version=2)
    with pytest.raises(ConfigNotFound):
        repository.config("sftp", "' OR '1'='1")


def fill(database: Database, repository: ApplicationRepository) -> None:
    """Two configurations, a mapping and a unit's credential of the application."""
    repository.put_config(config("in", host=b"h", password=b"p"), KEY, 0)
    repository.put_config(config("out", host=b"h"), KEY, 0)
    own = {"application": "sftp", "principal": "user:alice"}
    states = {"disabled_by_user": False, "disabled_by_administrator": False}
    with database.transaction() as connection:
        connection.execute(
            insert(t.mapping).values(**own, external_id="a", exclusive_id=None, position=0, version=1, updated_at=NOW, **states)
        )
        connection.execute(insert(t.mapping_value).values(**own, field="password", key_id=KEY, envelope=b"e"))
        connection.execute(
            insert(t.unit_credential).values(unit="u.service", credential="c", application="sftp", config="in", field="password")
        )


def counts(database: Database) -> list[int]:
    tables = (t.config, t.config_value, t.mapping, t.mapping_value, t.unit_credential)
    with database.reads() as connection:
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_stored_data_is_counted_by_field(repository: ApplicationRepository, with_secret: Database) -> None:
    fill(with_secret, repository)
    stored = repository.stored("sftp", ["host", "password", "port"])
    assert stored.all == (2, 1, 1)
    assert stored.by_field == {"host": (2, 0, 0), "password": (1, 1, 1), "port": (0, 0, 0)}
    assert repository.stored("other").all == (0, 0, 0)


def test_a_removed_field_takes_its_values_along(repository: ApplicationRepository, with_secret: Database) -> None:
    """What loses a value has a new version, and nothing else has."""
    fill(with_secret, repository)
    repository.put(SFTP._replace(fields=FIELDS[:1]), 1, repository.stored("sftp", ["password"]))
    assert counts(with_secret) == [2, 2, 1, 0, 0]
    assert [(each.name, each.version) for each in repository.configs("sftp")] == [("in", 2), ("out", 1)]


def test_another_type_takes_everything_along(repository: ApplicationRepository, with_secret: Database) -> None:
    fill(with_secret, repository)
    repository.put(SFTP._replace(type=ApplicationType.GROUP), 1, repository.stored("sftp"))
    assert counts(with_secret) == [0, 0, 0, 0, 0]


def test_what_has_come_since_it_was_counted_is_not_lost_unseen(repository: ApplicationRepository, with_secret: Database) -> None:
    """The change is refused as a whole."""
    fill(with_secret, repository)
    seen = repository.stored("sftp", ["password"])
    repository.put_config(config("late", password=b"p"), KEY, 0)
    with pytest.raises(VersionConflict, match="changed meanwhile"):
        repository.put(SFTP._replace(fields=FIELDS[:1]), 1, seen)
    assert repository.find("sftp") == SFTP
    assert counts(with_secret) == [3, 4, 1, 1, 1]


def test_an_application_is_deleted_with_its_mappings_and_units(repository: ApplicationRepository, with_secret: Database) -> None:
    fill(with_secret, repository)
    with pytest.raises(ApplicationInUse, match="2 configurations and 1 mappings"):
        repository.delete("sftp", with_data=False)
    repository.delete("sftp", with_data=True)
    assert counts(with_secret) == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("change", [{"fields": FIELDS[:1]}, {"type": ApplicationType.INDIVIDUAL}])
def test_a_configuration_is_kept_only_as_the_application_is_now(repository: ApplicationRepository, change: dict[str, Any]) -> None:
    """Whoever wrote for the application as it was is refused, in the transaction that writes."""
    repository.put(SFTP._replace(**change), 1)
    with pytest.raises(InvalidValue):
        repository.put_config(config(password=b"p"), KEY, 0)
    assert repository.configs("sftp") == []
