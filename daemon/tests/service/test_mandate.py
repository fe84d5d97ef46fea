"""A server whose mandate is taken ceases to act at once, says so to the database, and acts again only with a mandate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, APP, Host, World

from ssod.core.states import CONFIRMATION_WINDOW, Mastership
from ssod.errors import ActivationRefused, MasterLost, NotMaster, SsodError

Run = Callable[[Callable[[World], Awaitable[None]]], None]


def encrypt(host: Host) -> object:
    return host.encryption.encrypt(ADMIN, APP, "c", [b"value"])


async def waits(world: World, host: Host) -> bool:
    """Whether a server that is activated now has to wait for the earlier master."""
    environment = host.environment.read()
    host.environment.activate(host.node.state.server, environment.epoch, environment.current_key_id)
    return host.environment.read().earlier_master_confirmed is not None


@pytest.mark.parametrize("how", ["an encryption", "an act as master", "a look at the mandate", "a look at the database"])
def test_whatever_the_master_does_next_finds_that_its_mandate_is_gone(run: Run, how: str) -> None:
    """It is refused before anything is done; afterwards the database knows, and nobody has to wait."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        sealed = m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        m1.mandate.gone = True
        match how:
            case "an encryption":
                with pytest.raises(MasterLost, match="mandate"):
                    encrypt(m1)
            case "an act as master":
                with pytest.raises(NotMaster, match="does not act as one"):
                    await m1.mastership.keyring_for(ADMIN, "m2", None, 0)
            case "a look at the mandate":
                await m1.membership.mind_mandate()
            case _:
                await m1.membership.observe()
        assert m1.node.state.mastership is Mastership.PASSIVE
        assert m1.encryption.decrypt(ADMIN, APP, "c", sealed) == [b"value"]
        await m1.membership.mind_mandate()
        assert not await waits(world, m2)

    run(story)


def test_a_mandate_that_comes_back_is_acted_on_and_the_others_are_told(run: Run) -> None:
    """The database names this server all the while; and it is a confirmation of its own that others then wait for."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        m1.mandate.gone = True
        await m1.membership.mind_mandate()
        await s1.membership.refresh()
        assert not s1.node.attached
        await m1.membership.observe()
        assert m1.node.state.mastership is Mastership.PASSIVE
        assert "no mandate was given" in m1.node.sentence()
        m1.mandate.gone = False
        await m1.membership.mind_mandate()
        assert m1.node.mastership is Mastership.ACTIVE
        for telling in m1.membership.notices.last.values():
            await telling
        assert s1.node.attached
        assert await waits(world, m2)

    run(story)


def test_the_successor_of_a_process_that_was_killed_takes_its_confirmation_back(run: Run) -> None:
    """Without a mandate it does not resume; whoever is activated instead need not wait for a process that is gone."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m1.close()
        again = world.host("m1")
        again.mandate.gone = True
        await again.membership.sealing.open()
        await again.membership.observe()
        assert again.node.mastership is Mastership.PASSIVE
        assert not await waits(world, m2)

    run(story)


def test_an_activation_needs_the_mandate(run: Run) -> None:
    """In a dry run, too; every other condition is told with it."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m2.mandate.gone = True
        m2.certificate_problem = "its certificate expired"
        for dry_run in (True, False):
            with pytest.raises(ActivationRefused) as refusal:
                await m2.mastership.activate(ADMIN, None, dry_run=dry_run)
            assert refusal.value.conditions == ("no mandate was given", "its certificate expired")
            assert "promote_master.yml" in str(refusal.value.next_step)
        assert m1.environment.read().master == "m1"

    run(story)


def test_a_mandate_that_is_taken_in_the_middle_of_an_activation_ends_it(run: Run) -> None:
    """The database may name it by then: it does not act, and does not wait to."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m1.database.lost = True  # it cannot step down, so m2 has to wait
        world.network.cut.add("m1")
        record = m2.audit.record

        def taken(*arguments: object, **named: object) -> None:
            record(*arguments, **named)  # type: ignore[arg-type]
            m2.mandate.gone = True

        m2.audit.record = taken  # type: ignore[method-assign]
        with pytest.raises(SsodError, match="no mandate"):
            await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert m2.node.mastership is Mastership.PASSIVE
        world.clock.seconds += CONFIRMATION_WINDOW + 1
        await m2.membership.observe()
        assert m2.node.mastership is Mastership.PASSIVE

    run(story)


def test_a_deactivation_needs_no_space_for_its_audit(run: Run) -> None:
    """To cease to act is no act on a secret: it is told in the journal instead."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m1.audit.full = True
        assert (await m1.mastership.deactivate(ADMIN, dry_run=False))[:2] == (True, True)
        assert m1.environment.read().master is None
        assert any("not audited" in warning and "user:admin" in warning for warning in m1.warnings)
        assert not await waits(world, m2)

    run(story)


def test_a_deactivation_without_mandate_needs_no_database(run: Run) -> None:
    """It acts no more, and says what the database does not know; that hears of it when it is back."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m1.database.lost = True
        m1.mandate.gone = True
        assert (await m1.mastership.deactivate(ADMIN, dry_run=False))[:2] == (True, False)
        assert m1.node.state.mastership is Mastership.PASSIVE
        with pytest.raises(NotMaster):
            m1.node.require_master()
        m1.database.lost = False
        await m1.membership.observe()
        assert (await m1.mastership.deactivate(ADMIN, dry_run=False))[:2] == (True, True)
        assert (await m1.mastership.deactivate(ADMIN, dry_run=False))[:2] == (False, True)
        assert not await waits(world, m2)

    run(story)
