"""The SSO database behind an address that moves to another host: used again as soon as it answers there, without a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from floating import FloatingAddress
from pki import Authority
from postgres import Postgres
from servers import Fleet
from waiting import wait_for

EMPTY = {"application": "app", "context": "context", "plaintext": ""}


class Pair:
    """A primary and its standby, and the address that leads to the primary."""

    def __init__(self, authority: Authority) -> None:
        self.primary = Postgres(authority)
        self.primary.start()
        self.primary.execute("CREATE DATABASE sso")
        self.standby = Postgres(authority, of=self.primary)
        self.standby.start()
        self.address = FloatingAddress(self.primary.port)
        ca = authority.write(self.primary.directory / "ca.pem")
        self.url = f"postgresql+psycopg://ssod@127.0.0.1:{self.address.port}/sso?sslmode=verify-full&sslrootcert={ca}"

    def has_replayed(self) -> bool:
        """Whether the standby has everything, as with synchronous replication."""
        return self.primary.value("SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication") is True

    def remove(self) -> None:
        self.address.close()
        self.standby.remove()
        self.primary.remove()


@pytest.fixture
def pair(authority: Authority) -> Iterator[Pair]:
    made = Pair(authority)
    try:
        yield made
    finally:
        made.remove()


def test_the_database_is_used_again_as_soon_as_its_address_leads_to_the_new_primary(
    fleet: Callable[..., Fleet], pair: Pair
) -> None:
    """The old primary says nothing any more, and nothing ends what was connected to it: the worst way to lose a host."""
    m1, s1 = fleet("m1", "s1", url=pair.url).servers
    m1.ok("PUT", "/v1/applications/app/config/c", {"properties": {"host": "h"}})
    ciphertext = s1.encrypt(b"value")
    wait_for(pair.has_replayed, "the standby has everything")
    pair.address.lead_to(None)
    # A while goes by until the cluster has promoted the standby and moved the address.
    deadline = time.monotonic() + 4
    wait_for(lambda: time.monotonic() > deadline, "the failover")
    # First it leads to a standby: that is not the SSO database, however readily it answers.
    pair.address.lead_to(pair.standby.port)
    assert s1.decrypt(ciphertext) == b"value"
    pair.standby.promote()
    began = time.monotonic()
    change = {"properties": {"host": "new"}}
    wait_for(lambda: m1.call("PUT", "/v1/applications/app/config/c", change)[0] == 200, "m1 writes", 5)
    written = time.monotonic() - began
    wait_for(lambda: m1.status()["mastership"] == "active", "m1 is confirmed", 5)
    wait_for(lambda: s1.call("POST", "/v1/encrypt", EMPTY)[0] == 200, "s1 encrypts", 5)
    assert time.monotonic() - began < 4, written
    assert s1.ok("GET", "/v1/applications/app/config/c")["cached_at"] is None


def test_a_database_that_became_read_only_is_left_for_the_one_that_writes(fleet: Callable[..., Fleet], pair: Pair) -> None:
    """Its connections are well, and of no use: once the address has moved nobody goes on asking the old one."""
    (m1,) = fleet("m1", url=pair.url).servers
    wait_for(pair.has_replayed, "the standby has everything")
    pair.primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    pair.primary.execute("SELECT pg_reload_conf()")
    wait_for(lambda: m1.ok("GET", "/v1/master/fitness")["score"] == 10, "m1 knows that it is read-only", 5)
    assert "read-only" in m1.ok("GET", "/v1/master/fitness")["reason"]
    pair.standby.promote()
    pair.address.lead_to(pair.standby.port)
    began = time.monotonic()
    wait_for(lambda: m1.ok("GET", "/v1/master/fitness")["score"] == 100, "m1 writes again", 5)
    assert time.monotonic() - began < 3
