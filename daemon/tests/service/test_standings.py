"""What the page tells of each server, and why; what it says is to be done; who is shown the last acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, Host, World

from ssod.core.access import Caller
from ssod.core.silence import SILENT_SECONDS
from ssod.service.page import CLUSTER, Page
from ssod.storage.records import ServerReport

Run = Callable[[Callable[[World], Awaitable[None]]], None]


def page_of(host: Host) -> Page:
    return Page(host.node, host.membership, host.authority, host.audit)


async def looked(host: Host) -> Page:
    await host.membership.observe(reports=True)
    return page_of(host)


def states(page: Page) -> dict[str, tuple[str, str]]:
    return {each.name: (each.position, each.state) for each in page.standings()}


def test_all_is_well_when_every_server_is_attached(run: Run) -> None:
    """Nothing is to be done, and nobody could be promoted in place of a master that lives."""

    async def story(world: World) -> None:
        m1, _, s1 = await world.servers("m1", "m2", "s1")
        for host in (m1, s1):
            page = await looked(host)
            assert states(page) == {"m1": ("master", "attached"), "m2": ("standby", "attached"), "s1": ("server", "attached")}
            assert (page.level([]), page.concerns(), page.next_step(), page.candidates()) == ("well", [], None, [])
            assert page.remembered() is None
        assert (await looked(m1)).level(["the disk is full"]) == "warning"

    run(story)


def test_a_server_without_its_master_says_whom_to_promote(run: Run) -> None:
    """Those that are not heard of are no candidates, and those that hold the current secret sealed come first."""

    async def story(world: World) -> None:
        _, m2, a2, s1 = await world.servers("m1", "m2", "a2", "s1")
        world.network.cut.add("m1")
        for host in (m2, s1):
            await host.membership.noticed()
        a2.servers.report("a2", ServerReport(False, a2.node.key_id, None, a2.node.state.epoch, "0"), world.clock.now().utc)
        page = await looked(s1)
        assert states(page)["m1"] == ("master", "lost")
        assert states(page)["m2"] == ("standby", "detached")
        assert states(page)["s1"] == ("server", "detached")
        lost = next(each for each in page.standings() if each.name == "m1")
        assert lost.reason == "this server does not reach it: no answer from m1"
        assert page.level([]) == "alarm"
        assert "promote_master.yml" in str(page.next_step())
        assert page.candidates() == ["m2", "a2"]
        world.clock.seconds += SILENT_SECONDS + 1
        assert (await looked(s1)).candidates() == []
        assert states(page)["m2"] == ("standby", "silent")

    run(story)


def test_where_a_cluster_promotes_nobody_is_told_to(run: Run) -> None:
    """It would be in the cluster's way."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        world.network.cut.add("m1")
        m2.mandate.managed_by = "cluster"
        await m2.membership.noticed()
        page = await looked(m2)
        assert (page.next_step(), page.candidates()) == (CLUSTER, [])

    run(story)


def test_an_old_master_is_behind_when_another_has_been_promoted(run: Run) -> None:
    """What it last said was of an epoch that is over."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        world.network.cut.add("m1")
        await m2.membership.noticed()
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        page = await looked(m2)
        assert states(page) == {"m1": ("standby", "behind"), "m2": ("master", "attached")}
        assert page.level([]) == "warning"
        assert page.concerns() == ["m1 is behind: it last said that it follows epoch 1, and this is epoch 2"]

    run(story)


def test_a_master_that_nobody_asks_anything_is_not_silent(run: Run) -> None:
    """It says how it is once a refresh, also when nothing has changed; and who is attached to it knows anyhow."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await m1.membership.observe()
        for _ in range(3):
            world.clock.seconds += SILENT_SECONDS / 2
            await m1.membership.observe()
            await s1.membership.noticed()
        assert states(await looked(s1))["m1"] == ("master", "attached")
        (reported,) = [each for each in m1.servers.all() if each.name == "m1"]
        assert reported.last_seen == world.clock.now().utc

    run(story)


def test_a_server_that_never_reported_is_unknown(run: Run) -> None:
    """It was enrolled, and nothing more."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        m1.servers.enrol("s9", "s9:1", False, world.clock.now().utc)
        assert states(await looked(m1))["s9"] == ("server", "unknown")

    run(story)


def test_without_the_database_the_last_known_is_shown_and_said_to_be(run: Run) -> None:
    """With the time of the last look; a server that never had one knows nothing."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await m1.membership.observe()
        await looked(s1)
        seen = world.clock.now().utc
        s1.database.lost = True
        # Long enough, for one that could still read them, to call the others silent.
        world.clock.seconds += SILENT_SECONDS + 1
        page = await looked(s1)
        remembered = page.remembered()
        assert remembered is not None
        assert (remembered.at, remembered.environment.master) == (seen, "m1")
        assert {each.name for each in remembered.servers} == {"m1", "s1"} == states(page).keys()
        assert page.concerns() == ["the SSO database cannot be reached: the cable is pulled"]
        new = world.host("s2")
        new.database.lost = True
        page = await looked(new)
        assert (page.remembered(), page.standings(), page.candidates()) == (None, [], [])

    run(story)


@pytest.mark.parametrize("principal", ["user:admin", "certificate:admin"])
def test_acts_are_shown_to_those_who_may_read_the_audit_log(run: Run, principal: str) -> None:
    """Newest first; anybody else is told why not, and so is everybody from outside before it is known who is revoked."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        page = page_of(m1)
        acts, refusal = page.acts(Caller(principal, frozenset({"group:admins"})))
        assert refusal is None
        assert acts is not None
        assert [each.act for each in acts] == [act for _, act, _, _ in reversed(m1.audit.lines)]
        acts, refusal = page.acts(Caller(principal, frozenset()))
        assert acts is None
        assert "may not read audit" in str(refusal)
        fresh = page_of(world.host("m9"))
        acts, refusal = fresh.acts(Caller(principal, frozenset({"group:admins"})))
        assert (acts is None, refusal is None) == ((True, False) if principal.startswith("certificate:") else (False, True))

    run(story)
