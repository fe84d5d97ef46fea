"""The environment-wide roles are changed in the database without locking anybody out; SSO can be disabled as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from hosts import ADMIN, APP, NOBODY, Host, World

from ssod.core.access import Caller, Grants
from ssod.errors import DatabaseUnavailable, Forbidden, InvalidValue, RoleNotFound, SsoDisabled, WouldLockOut
from ssod.service.ports import Call
from ssod.service.roles import MemberChanges, RoleMembers

Run = Callable[[Callable[[World], Awaitable[None]]], None]

ALICE = Call(Caller("user:alice", frozenset({"user:alice"})), "t-3")


async def put(host: Host, role: str, *members: str, call: Call = ADMIN, dry_run: bool = False) -> MemberChanges:
    return (await host.roles.put(call, role, members, dry_run=dry_run))[1]


def test_members_in_the_database_have_the_role_on_every_server(run: Run) -> None:
    """On another one with its next look; and lose it again the same way."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        with pytest.raises(Forbidden):
            s1.authority.everywhere(ALICE.caller, "read roles")
        assert await put(m1, "sso_auditor", "user:alice") == MemberChanges(["user:alice"], [])
        assert m1.audit.lines[-1][:3] == ("user:admin", "manage roles", "sso_auditor")
        await s1.authority.reload()
        s1.authority.everywhere(ALICE.caller, "read roles")
        with pytest.raises(Forbidden):
            s1.authority.everywhere(ALICE.caller, "manage roles")
        assert await put(m1, "sso_auditor") == MemberChanges([], ["user:alice"])
        await s1.authority.reload()
        with pytest.raises(Forbidden):
            s1.authority.everywhere(ALICE.caller, "read roles")

    run(story)


def test_the_list_shows_the_file_s_principals_beside_the_database_s(run: Run) -> None:
    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        await put(m1, "sso_administrator", "user:alice")
        assert await m1.roles.all(ALICE) == [
            RoleMembers("sso_administrator", ["user:alice"], ["group:admins"]),
            RoleMembers("sso_affiliate_administrator", [], []),
            RoleMembers("sso_auditor", [], []),
        ]
        with pytest.raises(Forbidden):
            await m1.roles.all(NOBODY)

    run(story)


@pytest.mark.parametrize("members", [[], ["user:bob"]])
def test_nobody_takes_the_administrator_s_role_from_himself(run: Run, members: Sequence[str]) -> None:
    """One whom the database made an administrator cannot leave; one whom the file names keeps it and may empty the list."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        await put(m1, "sso_administrator", "user:alice")
        for dry_run in (True, False):
            with pytest.raises(WouldLockOut, match="user:alice would not be"):
                await put(m1, "sso_administrator", *members, call=ALICE, dry_run=dry_run)
        assert await put(m1, "sso_administrator", "user:alice", "user:bob", call=ALICE) == MemberChanges(["user:bob"], [])
        await put(m1, "sso_administrator", *members)
        m1.authority.everywhere(ADMIN.caller, "manage roles")

    run(story)


def test_a_file_that_is_changed_counts_at_once_and_forgets_nothing_of_the_database(run: Run) -> None:
    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        await put(m1, "sso_auditor", "user:alice")
        m1.authority.configure(Grants(frozenset({"user:root"})))
        m1.authority.everywhere(ALICE.caller, "read audit")
        with pytest.raises(Forbidden):
            m1.authority.everywhere(ADMIN.caller, "manage roles")

    run(story)


def test_a_database_from_elsewhere_is_administered_by_those_of_the_file(run: Run) -> None:
    """Its own administrators are nobody here: they neither lock anybody out nor have to be known."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m1.standing.put_members("sso_administrator", ["group:administrators-of-the-lost-site"])
        changed = await put(m2, "sso_administrator", "group:administrators-here")
        assert changed == MemberChanges(["group:administrators-here"], ["group:administrators-of-the-lost-site"])

    run(story)


def test_what_is_no_role_and_what_names_nobody_is_refused(run: Run) -> None:
    """Neither is written; and one without the role hears only that."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        with pytest.raises(RoleNotFound):
            await put(m1, "root", "user:alice")
        with pytest.raises(InvalidValue):
            await put(m1, "sso_auditor", "alice")
        with pytest.raises(Forbidden):
            await put(m1, "root", "alice", call=ALICE)
        assert m1.standing.read().members == {}

    run(story)


def test_the_same_again_and_a_dry_run_change_nothing(run: Run) -> None:
    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        await put(m1, "sso_auditor", "user:alice")
        lines = len(m1.audit.lines)
        assert await put(m1, "sso_auditor", "user:alice", "user:alice") == MemberChanges([], [])
        assert await put(m1, "sso_auditor", "user:bob", dry_run=True) == MemberChanges(["user:bob"], ["user:alice"])
        assert m1.standing.read().members == {"sso_auditor": {"user:alice"}}
        assert len(m1.audit.lines) == lines

    run(story)


def test_roles_outlive_the_database(run: Run) -> None:
    """What was known goes on counting while it cannot be asked."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        await put(m1, "sso_auditor", "user:alice")
        m1.database.lost = True
        with pytest.raises(DatabaseUnavailable):
            await m1.authority.reload()
        m1.authority.everywhere(ALICE.caller, "read audit")

    run(story)


def test_while_sso_is_disabled_no_server_gives_anybody_anything(run: Run) -> None:
    """Not even an administrator; configuration and roles can be changed meanwhile, and it is enabled again by one call."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        (ciphertext,) = m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        with pytest.raises(Forbidden):
            await m1.sso.put(NOBODY, enabled=False)
        disabled_at = await m1.sso.put(ADMIN, enabled=False)
        assert disabled_at == world.clock.now().utc
        world.clock.seconds += 10
        assert await m1.sso.put(ADMIN, enabled=False) == disabled_at
        assert await s1.sso.disabled_at() == disabled_at
        for host in (m1, s1):
            with pytest.raises(SsoDisabled, match="disabled everywhere since 2026-"):
                host.encryption.encrypt(ADMIN, APP, "c", [b"value"])
            with pytest.raises(SsoDisabled):
                host.encryption.decrypt(ADMIN, APP, "c", [ciphertext])
            for reveal in (True, False):
                with pytest.raises(SsoDisabled):
                    await host.configurations.get(ADMIN, "app", "in", reveal=reveal)
        await put(m1, "sso_auditor", "user:alice")
        assert await m1.sso.put(ADMIN, enabled=True) is None
        assert m1.encryption.decrypt(ADMIN, APP, "c", [ciphertext]) == [b"value"]

    run(story)
