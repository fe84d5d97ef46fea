"""How fit a server is to be the master: a score, every reason, and an answer soon whatever hangs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from threading import Event

import pytest
from hosts import ADMIN, BEGAN, Host, World
from keys import keyring_of, secret

from ssod.core.keyring import Keyring
from ssod.errors import ActivationRefused, DatabaseUnavailable
from ssod.service.fitness import LOOK_LIMIT, Verdict
from ssod.storage.records import Look

Run = Callable[[Callable[[World], Awaitable[None]]], None]


def test_a_standby_that_has_everything_could_be_the_master(run: Run) -> None:
    """As could the master itself; a mandate is no part of it: who has none yet is promoted, too."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        m2.mandate.gone = True
        assert await m1.fitness.verdict() == Verdict("active", True, 100, "")  # type: ignore[arg-type]
        assert await m2.fitness.verdict() == Verdict("passive", False, 100, "")  # type: ignore[arg-type]
        assert await m2.fitness.unfit() == []

    run(story)


def test_an_environment_without_a_secret_has_no_unfit_standby(run: Run) -> None:
    """The first activation needs no keyring."""

    async def story(world: World) -> None:
        m1 = world.host("m1")
        m1.servers.enrol("m1", "m1:1", True, world.clock.now().utc)
        assert (await m1.fitness.verdict()).score == 100

    run(story)


def another_keyring(host: Host) -> None:
    environment = host.environment.read()
    host.node.adopt(Keyring(environment.id, 1, secret(9), backed_up=True))


def no_keyring(host: Host) -> None:
    host.node.adopt(None)
    (host.root / "m2.sealed").unlink()


def expired(host: Host) -> None:
    host.certificate_problem = "its certificate expired"


def full_disk(host: Host) -> None:
    host.audit.full = True


def removed(host: Host) -> None:
    host.servers.remove(host.node.state.server, BEGAN)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (another_keyring, "the database needs"),
        (no_keyring, "holds no keyring"),
        (expired, "certificate expired"),
        (full_disk, "no space left"),
        (removed, "not enrolled"),
    ],
)
def test_whatever_is_wrong_makes_it_unfit_and_is_said(run: Run, harm: Callable[[Host], None], reason: str) -> None:
    """No score, and the reason in the status, in the cluster's hands, and where somebody activates it all the same."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        harm(m2)
        world.clock.seconds += 1
        verdict = await m2.fitness.verdict()
        assert verdict.score == 0
        assert reason in verdict.reason
        assert any(reason in each for each in await m2.fitness.unfit())
        with pytest.raises(ActivationRefused) as refusal:
            await m2.mastership.activate(ADMIN, None, dry_run=True)
        assert any(reason in each for each in refusal.value.conditions)

    run(story)


def test_a_sealed_copy_that_is_gone_is_made_again_and_a_newer_one_is_left_alone(run: Run) -> None:
    """What lies on the disk counts, not what was once written; a secret that is just being made must not be lost."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        path = world.root / "m2.sealed"
        path.unlink()
        assert (await m2.fitness.verdict()).score == 100
        assert path.exists()
        path.write_bytes(b"damaged")
        assert (await m2.fitness.verdict()).score == 100
        newer = keyring_of(9)
        m2.sealed.write(newer)
        verdict = await m2.fitness.verdict()
        assert (verdict.score, "stale" in verdict.reason) == (0, True)
        kept = m2.kept()
        assert kept is not None
        assert kept.current.id == newer.current.id

    run(story)


def test_a_sealed_copy_that_cannot_be_made_is_missing(run: Run) -> None:
    """A member that would come back from a restart with nothing gets no score."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        path = world.root / "m2.sealed"
        path.unlink()
        path.mkdir()
        verdict = await m2.fitness.verdict()
        assert (verdict.score, "missing" in verdict.reason) == (0, True)

    run(story)


def test_without_the_database_it_is_fit_and_nobody_can_confirm_it(run: Run) -> None:
    """Fitter than one with a wrong keyring; and an activation says that it is the database alone."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        m2.database.lost = True
        world.clock.seconds += 1
        verdict = await m2.fitness.verdict()
        assert (verdict.score, verdict.reason) == (10, "the cable is pulled")
        assert await m2.fitness.unfit() == []
        with pytest.raises(DatabaseUnavailable) as refusal:
            await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert refusal.value.conditions == ("the SSO database cannot be reached: the cable is pulled",)
        expired(m2)
        verdict = await m2.fitness.verdict()
        assert (verdict.score, verdict.reason) == (0, "its certificate expired; the cable is pulled")

    run(story)


def test_a_read_only_database_confirms_nothing_either(run: Run) -> None:
    """It answers, and would refuse the first write."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        m2.database.read_only = True
        assert await m2.fitness.verdict() == Verdict("passive", True, 10, "the SSO database is read-only")  # type: ignore[arg-type]

    run(story)


def test_a_database_that_never_answers_does_not_keep_the_cluster_waiting(run: Run) -> None:
    """It says what it knows, and after a while that it knows nothing new."""

    async def story(world: World) -> None:
        _, m2 = await world.servers("m1", "m2")
        release = Event()
        look = m2.environment.look

        def hanging(roster: str | None = None) -> Look:
            release.wait(20)
            return look(roster)

        m2.environment.look = hanging  # type: ignore[method-assign]
        try:
            world.clock.seconds += 1
            began = time.monotonic()
            assert (await m2.fitness.verdict()).score == 100
            world.clock.seconds += 10
            verdict = await m2.fitness.verdict()
            assert (verdict.score, "has not answered" in verdict.reason) == (10, True)
            assert time.monotonic() - began < 2 * LOOK_LIMIT + 0.5
        finally:
            release.set()

    run(story)
