"""Activation, deactivation and generation: all conditions or none, audited first, and one at a time."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, APP, NOBODY, World

from ssod.core.states import Mastership
from ssod.errors import (
    ActivationRefused,
    AuditUnavailable,
    DatabaseUnavailable,
    Forbidden,
    NotBackedUp,
    NotMaster,
    SecretExists,
)
from ssod.service.offload import Offload

Run = Callable[[Callable[[World], Awaitable[None]]], None]


def test_a_promotion_reaches_every_server_and_ends_the_old_mastership(run: Run) -> None:
    """The new epoch is everywhere when the call returns; to activate the master again changes nothing."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        changed, noticed = await m2.mastership.activate(ADMIN, 1, dry_run=False)
        assert changed
        assert {each.name: (each.attached, each.epoch) for each in noticed} == dict.fromkeys(("m2", "s1"), (True, 2))
        await m1.membership.refresh()
        for host in (m1, m2, s1):
            assert host.node.state.master == "m2"
            assert host.node.can_encrypt
        assert [host.node.mastership for host in (m1, m2, s1)] == [Mastership.PASSIVE, Mastership.ACTIVE, Mastership.PASSIVE]
        assert await m2.mastership.activate(ADMIN, None, dry_run=False) == (False, [])

    run(story)


def test_a_refused_activation_names_every_failed_condition_and_changes_nothing(run: Run) -> None:
    """All of them at once: an operator mends them in one go."""

    async def story(world: World) -> None:
        m1, _ = await world.servers("m1", "m2")
        stranger = world.host("s9")
        stranger.certificate_problem = "its certificate expired"
        with pytest.raises(ActivationRefused) as refusal:
            await stranger.mastership.activate(ADMIN, 7, dry_run=False)
        said = refusal.value.conditions
        for part in ("may_become_master is false", "certificate expired", "s9 is not enrolled", "holds no keyring", "epoch 7 was"):
            assert sum(part in each for each in said) == 1
        assert len(said) == 5
        found = m1.environment.read()
        assert (found.master, found.epoch) == ("m1", 1)
        assert stranger.audit.lines == []

    run(story)


def test_a_dry_run_says_what_would_be_and_changes_nothing(run: Run) -> None:
    """Neither activation nor deactivation is done, and nothing is audited as done."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        lines = list(m1.audit.lines)
        assert await m2.mastership.activate(ADMIN, None, dry_run=True) == (True, [])
        assert (await m1.mastership.deactivate(ADMIN, dry_run=True))[:2] == (True, True)
        assert (m1.environment.read().master, m1.audit.lines, m2.audit.lines) == ("m1", lines, [])

    run(story)


def test_no_audit_no_act(run: Run) -> None:
    """A full audit log refuses encryption, decryption, promotion and disclosure, each before it happens."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        sealed = m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        for host in (m1, m2):
            host.audit.full = True
        with pytest.raises(AuditUnavailable):
            m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        with pytest.raises(AuditUnavailable):
            m1.encryption.decrypt(ADMIN, APP, "c", sealed)
        with pytest.raises(ActivationRefused, match="nothing was changed") as refusal:
            await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert refusal.value.conditions == ("no space left",)
        with pytest.raises(AuditUnavailable):
            await m1.mastership.keyring_for(ADMIN, "m2", None, 0)
        assert m1.environment.read().master == "m1"

    run(story)


def test_two_activations_at_once_leave_one_master(run: Run) -> None:
    """Both are told how it ended, and the database, too, knows one."""

    async def story(world: World) -> None:
        m1, m2, m3 = await world.servers("m1", "m2", "m3")
        outcomes = await asyncio.gather(
            *(host.mastership.activate(ADMIN, 1, dry_run=False) for host in (m2, m3)), return_exceptions=True
        )
        acting = [host.node.state.server for host in (m1, m2, m3) if host.node.mastership is Mastership.ACTIVE]
        assert acting == [m1.environment.read().master]
        assert sum(isinstance(each, tuple) for each in outcomes) == 1

    run(story)


def test_an_activation_waits_for_a_look_that_is_just_resuming(run: Run) -> None:
    """A master that was restarted is the master still, and no epoch is raised for it: also where another look, by its watch, has
    overtaken the activation's own.
    """

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        m1.close()
        again = world.host("m1")
        await again.membership.sealing.open()
        uses, (looking, resuming, goes_on) = itertools.count(1), (threading.Event() for _ in range(3))

        def hold() -> None:
            match next(uses):
                case 1:  # the activation's look: answered when the other one, asked after it, is resuming
                    looking.set()
                    assert resuming.wait(10)
                case 3:  # the other one's confirmation
                    resuming.set()
                    goes_on.wait(0.5)  # an activation that waits asks nothing, and is given this long to do so
                case 4:
                    goes_on.set()

        again.database.hold = hold
        activating = asyncio.create_task(again.mastership.activate(ADMIN, None, dry_run=False))
        assert await asyncio.to_thread(looking.wait, 10)
        await again.membership.observe()
        assert await activating == (False, [])
        assert (again.node.mastership, again.node.state.epoch) == (Mastership.ACTIVE, 1)

    run(story)


def test_a_deactivation_leaves_servers_that_decrypt(run: Run) -> None:
    """Without a master nothing is encrypted; the next activation needs no wait."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        sealed = m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        assert (await m1.mastership.deactivate(ADMIN, dry_run=False))[:2] == (True, True)
        assert (await m1.mastership.deactivate(ADMIN, dry_run=False))[:2] == (False, True)
        with pytest.raises(NotMaster):
            m1.node.require_master()
        await m2.membership.refresh()
        assert not m2.node.can_encrypt
        assert m2.encryption.decrypt(ADMIN, APP, "c", sealed) == [b"value"]
        began = time.monotonic()
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert time.monotonic() - began < 3
        assert m2.node.can_encrypt

    run(story)


def test_a_secret_is_generated_once_and_does_not_encrypt_before_its_backup(run: Run) -> None:
    """Sealed on the master before the database names it; refused a second time."""

    async def story(world: World) -> None:
        m1 = world.host("m1")
        m1.servers.enrol("m1", "m1:1", True, world.clock.now().utc)
        m1.applications.put(APP, None)
        with pytest.raises(NotMaster):
            await m1.secret.generate(ADMIN)
        await m1.mastership.activate(ADMIN, None, dry_run=False)
        environment = await m1.secret.generate(ADMIN)
        kept = m1.kept()
        assert kept is not None
        assert kept.current.id == environment.current_key_id
        await m1.authority.reload()
        with pytest.raises(NotBackedUp):
            m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        with pytest.raises(SecretExists):
            await m1.secret.generate(ADMIN)

    run(story)


def test_a_caller_without_a_role_reaches_nothing(run: Run) -> None:
    """Refused before the audit, the database and the keyring are asked."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        lines = list(m1.audit.lines)
        for act in (
            lambda: m1.mastership.activate(NOBODY, None, dry_run=False),
            lambda: m1.mastership.deactivate(NOBODY, dry_run=False),
            lambda: m1.secret.generate(NOBODY),
            lambda: m1.secret.show(NOBODY),
            lambda: m1.secret.backup(NOBODY, None, [], None),
            lambda: m1.secret.distribute(NOBODY, None, 1),
        ):
            with pytest.raises(Forbidden):
                await act()
        for use in (m1.encryption.encrypt, m1.encryption.decrypt):
            with pytest.raises(Forbidden):
                use(NOBODY, APP, "c", [])  # type: ignore[operator]
        assert m1.audit.lines == lines

    run(story)


def test_a_call_that_blocks_is_given_up_after_its_limit() -> None:
    """A database host that is frozen is an answer, too, while the thread may hang as long as it likes."""
    release = threading.Event()

    async def story() -> None:
        offload = Offload(limit=0.1)
        with pytest.raises(DatabaseUnavailable, match=r"has not answered for 0\.1 s"):
            await offload(release.wait)
        release.set()
        assert await offload(lambda: "again") == "again"
        offload.close()

    asyncio.run(story())
