"""Applications as they are changed: by whom, with which plan, and what is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, NOBODY, Host, World

from ssod.core.access import Caller
from ssod.errors import (
    ApplicationDisabled,
    ApplicationIncomplete,
    ApplicationInUse,
    ApplicationNotFound,
    AuditUnavailable,
    DataLoss,
    Forbidden,
    VersionConflict,
)
from ssod.service.application_plan import Plan, Wanted
from ssod.service.ports import Call
from ssod.storage.records import Application, ApplicationType, Field

Run = Callable[[Callable[[World], Awaitable[None]]], None]

OWNER = Call(Caller("user:owner", frozenset({"user:owner", "group:owners"})), "t-3")
USER = Call(Caller("user:alice", frozenset({"user:alice"})), "t-4")
FIELDS = (Field("host"), Field("password", masked=True))
PAYROLL = Wanted("payroll", "", "", ("group:owners",), ("user:alice",), FIELDS, True, None, {})


async def put(
    host: Host, wanted: Wanted, call: Call = ADMIN, *, version: int | None = None, accept: bool = False, dry_run: bool = False
) -> tuple[Application, Plan]:
    return await host.use_of_applications.put(call, wanted, version, accept_loss=accept, dry_run=dry_run)


async def filled(world: World) -> Host:
    """A server with the application and one configuration of it."""
    (m1,) = await world.servers("m1")
    await put(m1, PAYROLL)
    await m1.configurations.put(ADMIN, "payroll", "in", {"host": "h", "password": "p"}, None, dry_run=False)
    return m1


def test_an_application_s_administrator_changes_its_users_and_nothing_else(run: Run) -> None:
    """Whatever else differs too, the whole change is refused; its user may not change even himself."""

    async def story(world: World) -> None:
        m1 = await filled(world)
        more = PAYROLL._replace(users=("user:alice", "user:bob"))
        application, plan = await put(m1, more, OWNER)
        assert (application.users, plan.changes) == (("user:alice", "user:bob"), ["user:bob is added to the users"])
        assert m1.audit.lines[-1][:3] == ("user:owner", "change application users", "payroll")
        assert await put(m1, more, OWNER) == (application, Plan([], []))
        for other in (
            more._replace(description="x"),
            more._replace(administrators=("user:owner",), users=()),
            more._replace(fields=()),
            more._replace(enabled=False),
            more._replace(type=ApplicationType.GROUP),
            more._replace(flags={"tickets_allowed": True}),
            more._replace(name="another"),
        ):
            with pytest.raises(Forbidden, match="user:owner may not change application"):
                await put(m1, other, OWNER)
        for call in (USER, NOBODY):
            with pytest.raises(Forbidden):
                await put(m1, more, call)
        assert m1.applications.find("payroll") == application

    run(story)


def test_a_new_application_is_disabled_until_it_is_enabled(run: Run) -> None:
    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        application, _ = await put(m1, PAYROLL._replace(enabled=None))
        assert not application.enabled
        with pytest.raises(ApplicationDisabled):
            m1.encryption.encrypt(ADMIN, application, "c", [b"value"])
        assert (await put(m1, PAYROLL))[0].enabled
        assert (await put(m1, PAYROLL._replace(enabled=None, contact="x")))[0].enabled

    run(story)


def test_enabling_names_what_is_missing(run: Run) -> None:
    """And an enabled application is not left without anybody who may use it."""

    async def story(world: World) -> None:
        m1 = await filled(world)
        for wanted in (
            PAYROLL._replace(name="new", users=(), administrators=()),
            PAYROLL._replace(name="new", type=ApplicationType.INDIVIDUAL, users=()),
            PAYROLL._replace(users=(), administrators=()),
        ):
            with pytest.raises(ApplicationIncomplete) as refusal:
                await put(m1, wanted)
            assert len(refusal.value.conditions) == 1
            assert (await put(m1, wanted._replace(enabled=False), dry_run=True))[0].enabled is False
        with pytest.raises(ApplicationIncomplete):
            await put(m1, PAYROLL._replace(type=ApplicationType.GROUP, users=()), accept=True)

    run(story)


def test_stored_data_is_lost_only_when_that_is_accepted(run: Run) -> None:
    """A dry run tells the same and does nothing; afterwards the field is in no configuration, which has a new version."""

    async def story(world: World) -> None:
        m1 = await filled(world)
        without = PAYROLL._replace(fields=FIELDS[:1])
        lost = ("field password is deleted from 1 configuration",)
        for dry_run in (True, False):
            with pytest.raises(DataLoss) as refusal:
                await put(m1, without, dry_run=dry_run)
            assert refusal.value.conditions == lost
        told = await put(m1, without, accept=True, dry_run=True)
        assert told[1].destroys == list(lost)
        assert set(m1.applications.config("payroll", "in").envelopes) == {"host", "password"}
        application, plan = await put(m1, without, accept=True)
        assert (plan, application) == (told[1], told[0]._replace(version=2))
        record = m1.applications.config("payroll", "in")
        assert (set(record.envelopes), record.version) == ({"host"}, 2)

    run(story)


def test_another_type_takes_the_configurations_along(run: Run) -> None:
    async def story(world: World) -> None:
        m1 = await filled(world)
        group = PAYROLL._replace(type=ApplicationType.GROUP)
        with pytest.raises(DataLoss, match="would be lost"):
            await put(m1, group)
        assert (await put(m1, group, accept=True))[0].type is ApplicationType.GROUP
        assert m1.applications.configs("payroll") == []
        assert (await put(m1, PAYROLL._replace(type=ApplicationType.CONFIG_STORE)))[1].destroys == []

    run(story)


def test_a_version_that_is_not_there_any_more_is_refused_in_a_dry_run_too(run: Run) -> None:
    async def story(world: World) -> None:
        m1 = await filled(world)
        for version in (0, 7):
            for dry_run in (True, False):
                with pytest.raises(VersionConflict):
                    await put(m1, PAYROLL._replace(contact="x"), version=version, dry_run=dry_run)

    run(story)


def test_a_dry_run_changes_nothing_and_is_not_audited(run: Run) -> None:
    async def story(world: World) -> None:
        m1 = await filled(world)
        lines = len(m1.audit.lines)
        assert (await put(m1, PAYROLL._replace(contact="x"), dry_run=True))[0].contact == "x"
        assert await m1.use_of_applications.delete(ADMIN, "payroll", with_data=True, dry_run=True) == ["1 configuration is deleted"]
        assert m1.applications.find("payroll").contact == ""
        assert len(m1.audit.lines) == lines

    run(story)


def test_an_application_is_deleted_with_its_data_only_when_that_is_said(run: Run) -> None:
    """By one who may change applications: its own administrators may not."""

    async def story(world: World) -> None:
        m1 = await filled(world)
        delete = m1.use_of_applications.delete
        for call in (OWNER, USER, NOBODY):
            with pytest.raises(Forbidden):
                await delete(call, "payroll", with_data=True, dry_run=False)
        for dry_run in (True, False):
            with pytest.raises(ApplicationInUse):
                await delete(ADMIN, "payroll", with_data=False, dry_run=dry_run)
        assert await delete(ADMIN, "payroll", with_data=True, dry_run=False) == ["1 configuration is deleted"]
        with pytest.raises(ApplicationNotFound):
            await delete(ADMIN, "payroll", with_data=True, dry_run=False)

    run(story)


def test_without_audit_nothing_is_changed(run: Run) -> None:
    async def story(world: World) -> None:
        m1 = await filled(world)
        m1.audit.full = True
        for act in (
            put(m1, PAYROLL._replace(contact="x")),
            m1.use_of_applications.delete(ADMIN, "payroll", with_data=True, dry_run=False),
            m1.roles.put(ADMIN, "sso_auditor", ["user:eve"], dry_run=False),
            m1.sso.put(ADMIN, enabled=False),
        ):
            with pytest.raises(AuditUnavailable):
                await act
        assert m1.applications.find("payroll").contact == ""
        assert (m1.standing.read().members, m1.standing.read().disabled_at) == ({}, None)

    run(story)
