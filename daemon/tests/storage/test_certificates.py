"""Which certificates are known and which are refused, in the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from at_once import at_once

from ssod.errors import LastCertificate, RevocationNotFound
from ssod.storage.certificates import CertificateRepository
from ssod.storage.records import Certificate, Revocation
from ssod.storage.repository import Database, ServerRepository
from ssod.storage.standing import StandingRepository

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=400)
FIRST = Certificate("s1", "a" * 64, "1", LATER)
RENEWED = FIRST._replace(serial="2", expires_at=LATER + timedelta(days=400))
REPLACED = Certificate("s1", "b" * 64, "3", LATER)


class World:
    def __init__(self, database: Database) -> None:
        self.certificates = CertificateRepository(database)
        self.servers = ServerRepository(database)
        self.standing = StandingRepository(database)
        self.servers.enrol("s1", "s1:1", False, NOW)

    def refused(self) -> list[tuple[str, str]]:
        return [(each.key[0], each.serial) for each in self.standing.read().revoked]


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_removed_server_s_certificates_are_refused_from_the_same_transaction_on(world: World) -> None:
    """All that it has ever shown; what is refused is told with its dates."""
    for shown in (FIRST, RENEWED, FIRST):
        assert world.certificates.note(shown, NOW)
    assert world.refused() == []
    world.servers.remove("s1", NOW)
    assert world.standing.read().revoked == (Revocation(*FIRST, revoked_at=NOW), Revocation(*RENEWED, revoked_at=NOW))


def test_a_server_of_the_same_name_with_another_key_is_let_in(world: World) -> None:
    """It takes the place of the removed one; removed as well, both are refused, each since its own day."""
    world.certificates.note(FIRST, NOW)
    world.servers.remove("s1", NOW)
    world.servers.enrol("s1", "s1:1", False, NOW)
    world.certificates.note(REPLACED, NOW)
    assert world.refused() == [("a", "1")]
    world.servers.remove("s1", NOW + timedelta(days=1))
    assert [(each.key[0], each.revoked_at) for each in world.standing.read().revoked] == [
        ("a", NOW),
        ("b", NOW + timedelta(days=1)),
    ]


def test_a_renewed_certificate_of_a_refused_key_is_refused(world: World) -> None:
    world.certificates.note(FIRST, NOW)
    world.servers.remove("s1", NOW)
    world.servers.enrol("s1", "s1:1", False, NOW)
    world.certificates.note(RENEWED, NOW + timedelta(hours=1))
    assert world.refused() == [("a", "1"), ("a", "2")]


def test_of_who_is_not_enrolled_nothing_is_noted(world: World) -> None:
    assert not world.certificates.note(FIRST._replace(name="stranger"), NOW)
    world.certificates.revoke(Certificate("job", "c" * 64, "9", LATER), NOW)
    assert world.refused() == [("c", "9")]


def test_expired_ones_are_forgotten(world: World) -> None:
    """TLS refuses them; the list does not grow for ever."""
    world.certificates.note(FIRST, NOW)
    world.servers.remove("s1", NOW)
    world.servers.enrol("s1", "s1:1", False, NOW)
    world.certificates.note(REPLACED._replace(expires_at=LATER + timedelta(days=9)), LATER + timedelta(days=1))
    assert world.refused() == []


def test_a_program_s_certificate_is_refused_and_let_in_again(world: World) -> None:
    job = Certificate("job", "c" * 64, "9", LATER)
    for moment in (NOW, LATER - timedelta(days=1)):
        world.certificates.revoke(job, moment)
    assert world.standing.read().revoked == (Revocation(*job, revoked_at=NOW),)
    world.certificates.restore(job.key)
    assert world.refused() == []
    with pytest.raises(RevocationNotFound):
        world.certificates.restore(job.key)


def test_the_only_certificate_of_an_enrolled_server_is_not_refused(world: World) -> None:
    """It would be locked out and stay enrolled; one that has another may lose the old one."""
    world.certificates.note(FIRST, NOW)
    with pytest.raises(LastCertificate, match="s1"):
        world.certificates.revoke(FIRST, NOW)
    with pytest.raises(LastCertificate, match="s1"):
        world.certificates.revoke(Certificate("another", FIRST.key, "7", LATER), NOW)
    assert world.refused() == []
    world.certificates.note(REPLACED, NOW)
    world.certificates.revoke(FIRST, NOW)
    assert world.refused() == [("a", "1")]


def test_of_many_who_note_the_same_each_finds_it_known(open_database: Callable[[], Database], world: World) -> None:
    notes = [partial(CertificateRepository(open_database()).note, FIRST, NOW) for _ in range(6)]
    outcomes = at_once(notes)
    assert outcomes == [True] * 6
    world.servers.remove("s1", NOW)
    assert world.refused() == [("a", "1")]
