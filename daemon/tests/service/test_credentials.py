"""Mappings, credentials and tickets while the master is lost, as time passes, and when nothing can be audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, BEGAN, Host, World

from ssod.core.access import Caller
from ssod.errors import AuditUnavailable, DatabaseUnavailable, Forbidden, MasterLost, TicketRejected
from ssod.service.mappings import Wanted
from ssod.service.ports import Call
from ssod.storage.records import Application, ApplicationType, Field, Flags

Run = Callable[[Callable[[World], Awaitable[None]]], None]

ALICE = Call(Caller("user:alice", frozenset({"user:alice", "group:staff"})), "t-9")
FLAGS = Flags(tickets_allowed=True, tickets_validated=False, tickets_single_use=True, ticket_timeout=60)
BANK = Application("bank", "", "", True, (), ("group:staff",), (Field("pin", masked=True),), 0, ApplicationType.INDIVIDUAL, FLAGS)


async def with_bank(world: World) -> tuple[Host, Host]:
    """The master m1 and the server s1; Alice has a mapping with a PIN."""
    m1, s1 = await world.servers("m1", "s1")
    m1.applications.put(BANK, None)
    for host in (m1, s1):
        await host.authority.reload()
    await put(m1, credentials={"pin": "1234"})
    return m1, s1


async def put(host: Host, **wanted: object) -> None:
    await host.mappings.put(ADMIN, "bank", Wanted("user:alice", "A", **wanted), None, dry_run=False)  # type: ignore[arg-type]


async def lose_master(world: World, host: Host) -> None:
    world.network.cut.add("m1")
    await host.membership.refresh()
    assert not host.node.can_encrypt


def test_a_lost_master_stops_new_credentials_and_nothing_else(run: Run) -> None:
    """Looked up, disabled, given a ticket for: all of that goes on; only sealing is refused."""

    async def story(world: World) -> None:
        _, s1 = await with_bank(world)
        await lose_master(world, s1)
        assert (await s1.credentials.look_up(ALICE, "bank")).credentials == {"pin": "1234"}
        with pytest.raises(MasterLost):
            await put(s1, credentials={"pin": "5678"})
        await put(s1, credentials={"pin": "1234"})
        ticket, _ = await s1.tickets.issue(ALICE, "bank")
        assert (await s1.tickets.redeem(ADMIN, "bank", ticket, None)).credentials == {"pin": "1234"}
        await put(s1, disabled_by_administrator=True)
        with pytest.raises(Forbidden, match="disabled by an administrator"):
            await s1.credentials.look_up(ALICE, "bank")
        await put(s1, credentials={})

    run(story)


def test_a_ticket_of_one_server_is_redeemed_on_another_once_and_in_time(run: Run) -> None:
    """The second time, and after a minute, it is rejected; a rejection is audited."""

    async def story(world: World) -> None:
        m1, s1 = await with_bank(world)
        used, expires_at = await s1.tickets.issue(ALICE, "bank")
        assert (expires_at - BEGAN).total_seconds() == world.clock.seconds + 60
        late, _ = await s1.tickets.issue(ALICE, "bank")
        await m1.tickets.redeem(ADMIN, "bank", used, "user:alice")
        with pytest.raises(TicketRejected, match="redeemed already"):
            await s1.tickets.redeem(ADMIN, "bank", used, "user:alice")
        world.clock.seconds += 60
        with pytest.raises(TicketRejected, match="expired"):
            await m1.tickets.redeem(ADMIN, "bank", late, "user:alice")
        assert m1.audit.lines[-1][1:] == ("redeem ticket", "bank", "ticket-rejected")

    run(story)


def test_a_ticket_from_the_future_is_not_yet_valid(run: Run) -> None:
    """A clock that is ahead by more than a few seconds is named as the reason."""

    async def story(world: World) -> None:
        m1, s1 = await with_bank(world)
        ticket, _ = await s1.tickets.issue(ALICE, "bank")
        world.clock.seconds -= 30
        with pytest.raises(TicketRejected, match="not yet valid"):
            await m1.tickets.redeem(ADMIN, "bank", ticket, None)

    run(story)


def test_without_audit_nothing_is_disclosed_and_nothing_changed(run: Run) -> None:
    """A ticket for single use is not used up by an attempt that could not be audited."""

    async def story(world: World) -> None:
        m1, _ = await with_bank(world)
        ticket, _ = await m1.tickets.issue(ALICE, "bank")
        m1.audit.full = True
        for act in (
            lambda: m1.credentials.look_up(ALICE, "bank"),
            lambda: m1.tickets.issue(ALICE, "bank"),
            lambda: m1.tickets.redeem(ADMIN, "bank", ticket, None),
            lambda: put(m1, credentials={"pin": "9"}),
            lambda: m1.mappings.delete(ADMIN, "bank", "user:alice", dry_run=False),
            lambda: m1.mappings.load(ADMIN, "bank", [Wanted("user:bob", "B")], dry_run=False),
        ):
            with pytest.raises(AuditUnavailable):
                await act()
        m1.audit.full = False
        assert (await m1.tickets.redeem(ADMIN, "bank", ticket, None)).credentials == {"pin": "1234"}
        assert len(await m1.mappings.page(ADMIN, "bank", "", 10, None)) == 1

    run(story)


def test_a_load_is_audited_mapping_by_mapping(run: Run) -> None:
    """Each that is made or changed has its line; those that stay have none."""

    async def story(world: World) -> None:
        m1, _ = await with_bank(world)
        wanted = [Wanted("user:alice", "A", credentials={"pin": "1234"}), *(Wanted(f"user:u{n}", f"U{n}") for n in range(120))]
        before = len(m1.audit.lines)
        loaded = await m1.mappings.load(ADMIN, "bank", wanted, dry_run=False)
        assert (loaded.created, loaded.changed, loaded.unchanged) == (120, 0, 1)
        assert m1.audit.lines[before:] == [("user:admin", "change mapping", f"bank/user:u{n}", "allowed") for n in range(120)]

    run(story)


def test_a_lost_database_refuses_what_was_never_read(run: Run) -> None:
    """As a temporary error, and not as an absent mapping."""

    async def story(world: World) -> None:
        _, s1 = await with_bank(world)
        s1.database.lost = True
        with pytest.raises(DatabaseUnavailable):
            await s1.credentials.look_up(ALICE, "bank")

    run(story)
