"""What a transaction has changed is heard when it is committed, by this process and, on PostgreSQL, by everyone who listens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from keys import secret

from ssod.storage.applications import ApplicationRepository
from ssod.storage.certificates import CertificateRepository
from ssod.storage.changes import DATA, MOST, Change, announce, from_payloads
from ssod.storage.mappings import MappingRepository
from ssod.storage.records import (
    Application,
    ApplicationType,
    Certificate,
    ConfigRecord,
    Field,
    KeyRecord,
    Mapping,
    MappingChange,
    UnitCredential,
)
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository
from ssod.storage.standing import StandingRepository
from ssod.storage.units import UnitCredentialRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = secret(1).id
CHANGE = Change("config", "sftp", "in/ü")


@pytest.fixture
def heard(database: Database) -> list[Change]:
    """What this process hears."""
    changes: list[Change] = []
    database.hear = lambda announced: changes.extend(announced.changes)
    return changes


def test_a_committed_change_is_heard_in_the_process_that_made_it(database: Database, heard: list[Change]) -> None:
    """Once it is committed, and not before."""
    with database.transaction() as connection:
        announce(connection, CHANGE)
        assert heard == []
    assert heard == [CHANGE]


def test_a_change_that_is_rolled_back_is_not_heard(database: Database, heard: list[Change]) -> None:
    """Nor with the next transaction on the same connection."""
    with pytest.raises(ZeroDivisionError), database.transaction() as connection:
        announce(connection, CHANGE)
        raise ZeroDivisionError
    with database.transaction():
        pass
    assert heard == []


def test_many_changes_are_heard_as_one_of_each_application(database: Database, heard: list[Change]) -> None:
    """So that a bulk load wakes nobody a thousand times."""
    with database.transaction() as connection:
        announce(connection, *(Change("mapping", f"a{number % 2}", f"user:{number}") for number in range(MOST + 1)))
    assert heard == [Change("mapping", "a0"), Change("mapping", "a1")]


def test_every_write_says_what_it_changed(database: Database, heard: list[Change]) -> None:
    """Whoever keeps a copy has to hear of it; what changes nothing is no news."""
    environment, standing = EnvironmentRepository(database), StandingRepository(database)
    applications, mappings, units = ApplicationRepository(database), MappingRepository(database), UnitCredentialRepository(database)
    environment.activate("m1", 0, None)
    environment.add_first_secret("m1", 1, KeyRecord(KEY, b"canary", NOW))
    servers, certificates = ServerRepository(database), CertificateRepository(database)
    shown = Certificate("s1", "ab" * 32, "1f", NOW + timedelta(days=1))
    store = Application("store", "", "", False, (), (), (Field("a"), Field("b")), 0)
    people = store._replace(name="people", type=ApplicationType.INDIVIDUAL)
    grant = UnitCredential("job.service", "key", "store", "in", "a")
    mapping = MappingChange(Mapping("user:u", "x", 0, False, False, 0, NOW, {"a": KEY}), {"a": b"e"})
    everything = [Change(kind, "store") for kind in DATA]
    writes: list[tuple[Callable[[], object], list[Change]]] = [
        (lambda: applications.put(store, None), [Change("application", "store")]),
        (lambda: applications.put(store, None), []),
        (lambda: applications.put(people, None), [Change("application", "people")]),
        (
            lambda: applications.put_config(ConfigRecord("store", "in", 0, NOW, {"a": b"e"}), KEY, 0),
            [Change("config", "store", "in")],
        ),
        (lambda: units.put(grant, dry_run=True), []),
        (lambda: units.put(grant, dry_run=False), [Change("unit-credential", "store", "job.service/key")]),
        (lambda: units.put(grant, dry_run=False), []),
        (
            lambda: units.delete("store", "job.service", "key", dry_run=False),
            [Change("unit-credential", "store", "job.service/key")],
        ),
        (lambda: mappings.put("people", [mapping], KEY, NOW), [Change("mapping", "people", "user:u")]),
        (lambda: mappings.delete("people", "user:u", 1), [Change("mapping", "people", "user:u")]),
        (lambda: applications.put(store._replace(fields=(Field("a"),)), None), [*everything, Change("application", "store")]),
        (lambda: applications.delete_config("store", "in"), [Change("config", "store", "in")]),
        (lambda: applications.delete("store", with_data=True), [*everything, Change("application", "store")]),
        (lambda: standing.put_members("sso_auditor", ["group:g"]), [Change("role", "", "sso_auditor")]),
        (lambda: standing.put_disabled(NOW), [Change("sso")]),
        (lambda: servers.enrol("s1", "s1:1", False, NOW), [Change("environment")]),
        (lambda: certificates.note(shown, NOW), []),
        (lambda: servers.remove("s1", NOW), [Change("certificate", name="s1"), Change("environment")]),
        (lambda: certificates.restore(shown.key), [Change("certificate", name="s1")]),
        (lambda: certificates.revoke(shown, NOW), [Change("certificate", name="s1")]),
    ]
    for number, (write, expected) in enumerate(writes):
        heard.clear()
        write()
        assert heard == expected, number


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_postgresql_tells_who_listens(database: Database, open_database: Callable[[], Database]) -> None:
    """Names alone, and each change once."""
    with open_database().engine.connect() as connection:
        listener = connection.connection.dbapi_connection
        assert isinstance(listener, psycopg.Connection)
        listener.execute("LISTEN ssod")
        listener.commit()
        with database.transaction() as writing:
            announce(writing, CHANGE, CHANGE, Change("sso"))
        payloads = [notify.payload for notify in listener.notifies(timeout=5, stop_after=2)]
    assert from_payloads(payloads) == [CHANGE, Change("sso")]
