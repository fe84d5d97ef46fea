"""Mappings, credentials and tickets while master or database are lost, as time passes, and when nothing can be audited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, BEGAN, Host, World

from ssod.core.access import Caller
from ssod.errors import AuditUnavailable, DatabaseUnavailable, Forbidden, MappingNotFound, MasterLost, TicketRejected
from ssod.service.mappings import Wanted
from ssod.service.ports import Call
from ssod.storage.changes import Change
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
    """Each that is made or changed has its line, and each whose credentials were compared with what was given."""

    async def story(world: World) -> None:
        m1, _ = await with_bank(world)
        wanted = [Wanted("user:alice", "A", credentials={"pin": "1234"}), *(Wanted(f"user:u{n}", f"U{n}") for n in range(120))]
        before = len(m1.audit.lines)
        loaded = await m1.mappings.load(ADMIN, "bank", wanted, dry_run=False)
        assert (loaded.created, loaded.changed, loaded.unchanged) == (120, 0, 1)
        assert m1.audit.lines[before] == ("user:admin", "compare credentials", "bank/user:alice", "allowed")
        made = [("user:admin", "change mapping", f"bank/user:u{n}", "allowed") for n in range(120)]
        assert m1.audit.lines[before + 1 :] == made

    run(story)


def test_a_lost_database_gives_what_was_looked_up_before_and_nothing_else(run: Run) -> None:
    """With its age; what was never read is a temporary error, and not an absent mapping."""

    async def story(world: World) -> None:
        m1, s1 = await with_bank(world)
        assert (await s1.credentials.look_up(ALICE, "bank")).cached_at is None
        for host in (m1, s1):
            host.database.lost = True
        world.clock.seconds += 100
        found = await s1.credentials.look_up(ALICE, "bank")
        assert found.credentials == {"pin": "1234"}
        assert found.cached_at is not None
        assert (world.clock.now().utc - found.cached_at).total_seconds() == 100
        with pytest.raises(DatabaseUnavailable):
            await m1.credentials.look_up(ALICE, "bank")

    run(story)


def test_an_application_may_forbid_that_its_credentials_are_kept(run: Run) -> None:
    """They are read anew each time, and not to be had while the database is lost."""

    async def story(world: World) -> None:
        m1, s1 = await with_bank(world)
        m1.applications.put(BANK._replace(flags=Flags(credential_cache=False)), None)
        await s1.authority.reload()
        s1.feed.begin()
        await s1.credentials.look_up(ALICE, "bank")
        await put(m1, credentials={"pin": "5678"})
        assert (await s1.credentials.look_up(ALICE, "bank")).credentials == {"pin": "5678"}
        s1.database.lost = True
        with pytest.raises(DatabaseUnavailable):
            await s1.credentials.look_up(ALICE, "bank")

    run(story)


def test_while_changes_are_heard_the_database_is_asked_once(run: Run) -> None:
    """Until one of this mapping is heard: by its principal, or as one of all in its application."""

    async def story(world: World) -> None:
        m1, s1 = await with_bank(world)
        s1.feed.begin()

        async def pin() -> str:
            found = await s1.credentials.look_up(ALICE, "bank")
            assert found.cached_at is None
            return found.credentials["pin"]

        assert await pin() == "1234"
        await put(m1, credentials={"pin": "2"})
        s1.feed.hear([Change("mapping", "bank", "user:bob"), Change("config", "bank", "user:alice"), Change("mapping", "other")])
        assert await pin() == "1234"
        s1.feed.hear([Change("mapping", "bank", "user:alice")])
        assert await pin() == "2"
        await put(m1, credentials={"pin": "3"})
        s1.feed.hear([Change("mapping", "bank")])
        assert await pin() == "3"

    run(story)


def test_of_a_group_any_change_may_make_another_mapping_the_first(run: Run) -> None:
    """A better one that is made is seen, and one that is deleted is gone."""

    async def story(world: World) -> None:
        m1, s1 = await with_bank(world)
        m1.applications.put(BANK._replace(name="team", type=ApplicationType.GROUP), None)
        for host in (m1, s1):
            await host.authority.reload()
            host.feed.begin()

        async def account_after(principal: str) -> str:
            s1.feed.hear([Change("mapping", "team", principal)])
            return (await s1.credentials.look_up(ALICE, "team")).external_id

        for principal, position in (("group:staff", 2), ("user:alice", 1)):
            wanted = Wanted(principal, f"of {principal}", position, credentials={"pin": "1"})
            await m1.mappings.put(ADMIN, "team", wanted, None, dry_run=False)
            assert await account_after(principal) == f"of {principal}"
        await m1.mappings.delete(ADMIN, "team", "user:alice", dry_run=False)
        assert await account_after("user:alice") == "of group:staff"
        await m1.mappings.delete(ADMIN, "team", "group:staff", dry_run=False)
        with pytest.raises(MappingNotFound):
            await account_after("group:staff")

    run(story)
