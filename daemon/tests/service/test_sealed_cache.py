"""A plain server with a sealed cache: restarted while the master is lost it decrypts, for so long, and never encrypts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, APP, BEGAN, Host, World

from ssod.errors import MasterLost, NoKeyring
from ssod.seal.copy import is_cache
from ssod.seal.keys import CREDENTIAL, KeyInMemory, SealUnavailable
from ssod.service.sealing import sealing_of

Run = Callable[[Callable[[World], Awaitable[None]]], None]

HOUR = 3600.0


async def with_a_value(world: World) -> tuple[Host, Host, str]:
    """The master, a plain server with a cache, and a ciphertext."""
    world.cache_max_age = HOUR
    m1, s1 = await world.servers("m1", "s1")
    (sealed,) = s1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
    return m1, s1, sealed


async def restarted(world: World) -> Host:
    """As a start of s1 goes: its cache, then the database and the master."""
    again = world.host("s1")
    await again.membership.sealing.open()
    await again.membership.refresh()
    await again.authority.reload()
    return again


def opens(host: Host, sealed: str) -> bool:
    return host.encryption.decrypt(ADMIN, APP, "c", [sealed]) == [b"value"]


def test_without_the_master_it_decrypts_until_the_end_and_then_says_why_not(run: Run) -> None:
    """Also where encryption while detached is allowed, nothing is encrypted from a cache."""

    async def story(world: World) -> None:
        _, _, sealed = await with_a_value(world)
        world.network.cut.add("m1")
        world.clock.seconds += 600
        again = await restarted(world)
        assert opens(again, sealed)
        again.node.encrypt_while_detached = True
        with pytest.raises(MasterLost):
            again.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        assert not again.node.can_encrypt
        assert "decrypting from the sealed cache until 2026-01-02T04:20:45Z, refusing to encrypt" in again.node.sentence()
        world.clock.seconds += HOUR - 601
        assert opens(again, sealed)
        world.clock.seconds += 1
        with pytest.raises(NoKeyring, match=r"the sealed cache was of use until .* \(sealing\.cache_max_age\)"):
            opens(again, sealed)
        assert again.node.key_id is None
        late = await restarted(world)
        with pytest.raises(NoKeyring, match="the master last vouched for the sealed cache at 2026-01-02T03:20:45Z"):
            opens(late, sealed)

    run(story)


def test_the_master_that_is_back_takes_the_end_away(run: Run) -> None:
    """It vouches: the server encrypts, and goes on without an end when the master is lost again."""

    async def story(world: World) -> None:
        _, _, sealed = await with_a_value(world)
        world.network.cut.add("m1")
        again = await restarted(world)
        world.network.cut.clear()
        await again.membership.refresh()
        assert again.node.can_encrypt
        assert again.node.borrowed_until is None
        world.network.cut.add("m1")
        world.clock.seconds += 100 * HOUR
        await again.membership.refresh()
        assert opens(again, sealed)

    run(story)


def test_the_master_s_word_is_written_down_once_a_minute_and_for_a_new_keyring(run: Run) -> None:
    async def story(world: World) -> None:
        m1, s1, _ = await with_a_value(world)

        def written() -> float:
            kept = s1.sealed.read()
            assert kept is not None
            assert kept.vouched is not None
            return kept.vouched.at

        async def a_while(seconds: float) -> None:
            world.clock.seconds += seconds
            await m1.membership.observe()
            await s1.membership.refresh()

        first = written()
        await a_while(59)
        assert written() == first
        await a_while(1)
        assert written() == first + 60
        s1.sealed.destroy()
        await a_while(60)
        assert written() == first + 120

    run(story)


def test_a_clock_that_is_turned_back_gives_no_time(run: Run) -> None:
    """What it was used is written down; a start with an earlier clock does not use it, until the clock is right."""

    async def story(world: World) -> None:
        _, _, sealed = await with_a_value(world)
        world.network.cut.add("m1")
        again = await restarted(world)
        world.clock.seconds += 1800
        assert again.cache is not None
        await again.cache.note_use()
        world.clock.seconds -= 1800
        with pytest.raises(NoKeyring, match="set the clock"):
            opens(await restarted(world), sealed)
        world.clock.seconds += 1800
        right = await restarted(world)
        assert opens(right, sealed)
        world.clock.seconds += 1800
        with pytest.raises(NoKeyring):
            opens(right, sealed)

    run(story)


def test_a_server_that_was_removed_has_its_cache_destroyed(run: Run) -> None:
    """Running, it keeps what it has in memory; what it only borrowed from its cache it gives up."""

    async def story(world: World) -> None:
        m1, s1, sealed = await with_a_value(world)
        assert is_cache(world.root / "s1.sealed")
        world.network.cut.add("m1")
        again = await restarted(world)
        m1.servers.remove("s1", BEGAN)
        await s1.membership.observe()
        assert not (world.root / "s1.sealed").exists()
        assert opens(s1, sealed)
        await again.membership.observe()
        with pytest.raises(NoKeyring, match="this server was removed from the environment, and its sealed cache is destroyed"):
            opens(again, sealed)
        assert again.node.sealed_key_id is None

    run(story)


def test_the_master_s_word_that_it_was_removed_is_enough(run: Run) -> None:
    """Without the database: the master knows it no more, and says so."""

    async def story(world: World) -> None:
        m1, s1, _ = await with_a_value(world)
        m1.servers.remove("s1", BEGAN)
        await m1.membership.observe()
        s1.database.lost = True
        master = m1.membership.enrolled["m1"]
        await s1.membership.follow(master, 0)
        assert not (world.root / "s1.sealed").exists()

    run(story)


def test_a_cache_that_is_not_wanted_any_more_is_destroyed_and_a_standby_s_copy_is_not(run: Run) -> None:
    async def story(world: World) -> None:
        _, s1, _ = await with_a_value(world)
        world.cache_max_age = 0
        path, disk = world.root / "s1.sealed", s1.membership.sealing._disk
        sealing_of(s1.node, disk, s1.warnings.append, path, lambda: pytest.fail("no key is needed"), 0)
        assert not path.exists()
        copy = world.root / "m1.sealed"
        sealing_of(s1.node, disk, s1.warnings.append, copy, lambda: pytest.fail("no key is needed"), 0)
        assert copy.exists()

    run(story)


def test_a_standby_s_copy_is_no_cache(run: Run) -> None:
    """Nobody has said when it was vouched for: a server that was a standby starts with nothing, until the master answers."""

    async def story(world: World) -> None:
        _, s1, sealed = await with_a_value(world)
        assert s1.node.keyring is not None
        s1.sealed.write(s1.node.keyring)
        world.network.cut.add("m1")
        with pytest.raises(NoKeyring):
            opens(await restarted(world), sealed)
        world.network.cut.clear()
        await restarted(world)
        kept = s1.sealed.read()
        assert kept is not None
        assert kept.vouched is not None

    run(story)


def test_a_cache_that_cannot_be_written_or_read_costs_nothing_but_itself(run: Run) -> None:
    """A token that is away: the reason is in the status, and the service goes on."""

    class Fickle(KeyInMemory):
        away = False

        def seal(self, plaintext: bytes, associated: bytes) -> bytes:
            if self.away:
                raise SealUnavailable("the token is not there")
            return super().seal(plaintext, associated)

        def open(self, sealed: bytes, associated: bytes) -> bytes:
            if self.away:
                raise SealUnavailable("the token is not there")
            return super().open(sealed, associated)

    async def story(world: World) -> None:
        _, s1, sealed = await with_a_value(world)
        key = s1.sealed._keys[0]
        assert isinstance(key, KeyInMemory)
        fickle = Fickle(CREDENTIAL, key._key, key._random)
        again = world.host("s1")
        again.sealed._keys = (fickle,)
        fickle.away = True
        await again.membership.sealing.open()
        assert "the token is not there" in again.warnings[0]
        await again.membership.refresh()
        await again.authority.reload()
        assert opens(again, sealed)
        assert again.node.can_encrypt
        assert "the token is not there" in (again.node.seal_problem or "")
        fickle.away = False
        await again.membership.refresh()
        assert again.node.seal_problem is None

    run(story)
