"""The database knows where each server's audit log ended, and a server that starts compares its log with that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from hosts import World

from ssod.core.audit import Head

Run = Callable[[Callable[[World], Awaitable[None]]], None]

LATER = Head(70, "b" * 64)


def test_a_server_tells_the_database_where_its_log_ends(run: Run) -> None:
    """When it has been seen to be on the disk, and only when it is another line than before."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        assert m1.membership.enrolled["m1"].audit_sequence is None
        for host in (m1, s1):
            host.audit.anchored = LATER
            await host.membership.report_audit()
        await m1.membership.observe(reports=True)
        assert [(each.audit_sequence, each.audit_head) for each in m1.membership.enrolled.values()] == [LATER, LATER]
        changed = m1.servers.all()[0].last_seen
        world.clock.seconds += 5
        await m1.membership.report_audit()
        assert m1.servers.all()[0].last_seen == changed

    run(story)


def test_a_server_that_starts_compares_before_it_reports(run: Run) -> None:
    """Once; and says in the journal that lines are missing. What it does not know leaves what is known."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        m1.audit.anchored = LATER
        await m1.membership.report_audit()
        again = world.host("m1")
        await again.membership.observe()
        await again.membership.report_again()
        await again.membership.observe()
        assert again.audit.expected == [LATER]
        assert again.warnings == ["the SSO database knows of line 70"]
        assert again.membership.enrolled["m1"].audit_sequence == LATER.sequence

    run(story)
