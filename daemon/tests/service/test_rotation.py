"""Rotation among servers in one event loop: nobody is refused, nobody is left behind unknowingly, any master goes on with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from hosts import ADMIN, APP, BEGAN, NOBODY, Host, World

from ssod.core.envelope import key_id_of
from ssod.errors import DatabaseUnavailable, Forbidden, NotMaster, RotationRefused, ServerNotFound
from ssod.service.rotation import Kept
from ssod.storage.applications import StaleKey
from ssod.storage.records import BackupRecord, Field

Run = Callable[[Callable[[World], Awaitable[None]]], None]


def backed_up(master: Host) -> None:
    """As after a verified backup of all that the master holds."""
    keyring, environment = master.node.keyring, master.environment.read()
    assert keyring is not None
    assert environment.current_key_id is not None
    record = BackupRecord("b" * 64, environment.current_key_id, BEGAN, "m1:/backup", "passphrase")
    master.environment.record_backup(master.node.state.server, master.node.state.epoch, record, frozenset(keyring.keys))


async def rotate(master: Host, *others: Host) -> bytes:
    """As far as the switch; returns the new current key."""
    prepared = await master.rotation.prepare(ADMIN)
    backed_up(master)
    assert (await master.rotation.switch(ADMIN, [], 1, dry_run=False)).changed
    for host in others:
        await host.membership.noticed()
    return prepared.coming


async def written(host: Host, name: str, value: str, version: int = 0) -> None:
    await host.configurations.put(ADMIN, "app", name, {"x": value}, version, dry_run=False)


async def read(host: Host, name: str) -> str:
    return (await host.configurations.get(ADMIN, "app", name, reveal=True)).properties["x"]


async def with_fields(master: Host, *others: Host) -> None:
    master.applications.put(APP._replace(fields=(Field("x"),)), 1)
    for host in (master, *others):
        await host.authority.reload()


def test_every_server_uses_the_new_secret_and_opens_what_is_under_the_old_one(run: Run) -> None:
    """Also values that programs keep themselves, which nobody re-encrypts."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        (kept,) = s1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        coming = await rotate(m1, m2, s1)
        for host in (m1, m2, s1):
            assert host.node.key_id == coming.hex()
            assert host.node.can_encrypt
            assert host.encryption.decrypt(ADMIN, APP, "c", [kept]) == [b"value"]
        sealed = m2.kept()
        assert sealed is not None
        assert (sealed.current.id, len(sealed.keys)) == (coming, 2)

    run(story)


def test_nothing_is_encrypted_under_a_secret_that_is_only_next(run: Run) -> None:
    """It is in every keyring and used by none; to prepare again makes no other."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        current = m1.node.key_id
        prepared = await m1.rotation.prepare(ADMIN)
        await s1.membership.noticed()
        for host in (m1, s1):
            assert host.node.key_id == current
            assert prepared.coming.hex() in host.node.held_key_ids
        assert await m1.rotation.prepare(ADMIN) == prepared._replace(changed=False)

    run(story)


@pytest.mark.parametrize("who", ["s1 is cut off", "m2 has no sealed copy", "no backup"])
def test_a_switch_that_would_leave_something_behind_is_refused(run: Run, who: str) -> None:
    """It names the server, or the backup, and changes nothing; mended, it is done."""

    async def story(world: World) -> None:
        m1, m2, _ = await world.servers("m1", "m2", "s1")
        prepared = await m1.rotation.prepare(ADMIN)
        if who != "no backup":
            backed_up(m1)
        if who == "s1 is cut off":
            world.network.cut.add("s1")
        if who == "m2 has no sealed copy":
            await m2.membership.noticed()
            m2.node.sealed_key_id = None
        with pytest.raises(RotationRefused) as refusal:
            await m1.rotation.switch(ADMIN, [], 1, dry_run=False)
        (condition,) = refusal.value.conditions
        assert condition.startswith(who.split(maxsplit=1)[0])
        assert m1.node.key_id == prepared.current.hex() == m1.environment.read().current_key_id.hex()  # type: ignore[union-attr]
        world.network.cut.clear()
        backed_up(m1)
        await m2.membership.sealing.check()
        assert (await m1.rotation.switch(ADMIN, [], 1, dry_run=False)).changed

    run(story)


def test_a_server_is_left_behind_knowingly(run: Run) -> None:
    """It has the old secret until it reaches the master; only an enrolled one can be named."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        world.network.cut.add("s1")
        prepared = await m1.rotation.prepare(ADMIN)
        backed_up(m1)
        with pytest.raises(ServerNotFound, match="s9"):
            await m1.rotation.switch(ADMIN, ["s9"], 1, dry_run=False)
        assert (await m1.rotation.switch(ADMIN, ["s1"], 1, dry_run=True)).changed
        assert m1.node.key_id == prepared.current.hex()
        assert (await m1.rotation.switch(ADMIN, ["s1"], 1, dry_run=False)).current == prepared.coming
        assert s1.node.key_id == prepared.current.hex()
        await s1.membership.noticed()
        assert s1.node.key_id == prepared.coming.hex()

    run(story)


def test_a_server_learns_of_the_switch_from_the_database(run: Run) -> None:
    """Also when the master is lost right after it: what it holds already becomes current."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        prepared = await m1.rotation.prepare(ADMIN)
        backed_up(m1)
        await m1.rotation.switch(ADMIN, [], 1, dry_run=False)
        world.network.cut.add("m1")
        await s1.membership.observe()
        assert s1.node.key_id == prepared.coming.hex()
        assert s1.node.keyring is not None
        assert s1.node.keyring.backed_up

    run(story)


def test_a_master_that_has_not_heard_of_the_switch_takes_nobody_back(run: Run) -> None:
    """Its keyring names the old secret current; the database decides."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        before = m1.node.keyring
        assert before is not None
        coming = await rotate(m1, s1)
        held = m1.node.keyring
        assert held is not None
        m1.node.adopt(held.with_current(before.current.id).with_backup(True))
        await s1.membership.follow(s1.membership.enrolled["m1"], 0)
        assert s1.node.key_id == coming.hex()

    run(story)


def test_whoever_writes_meanwhile_is_not_refused(run: Run) -> None:
    """A server that has not heard of the switch seals under the old secret, is told by the database, and seals anew."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        coming = await rotate(m1)
        assert s1.node.key_id != coming.hex()
        await written(s1, "in", "value")
        assert key_id_of(m1.applications.config("app", "in").envelopes["x"]) == coming
        assert await read(m1, "in") == "value"

    run(story)


def test_a_server_that_stays_behind_is_told_so(run: Run) -> None:
    """Without the new secret it cannot write, and does not try without an end."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        world.network.cut.add("s1")
        await m1.rotation.prepare(ADMIN)
        backed_up(m1)
        await m1.rotation.switch(ADMIN, ["s1"], 1, dry_run=False)
        before = s1.node.keyring
        assert before is not None

        async def stay(*, join: bool = False) -> None:
            s1.node.adopt(before)

        s1.membership.refresh = stay  # type: ignore[method-assign]
        with pytest.raises(StaleKey):
            await written(s1, "in", "value")

    run(story)


def test_values_are_re_encrypted_and_open_as_before(run: Run) -> None:
    """Those that were written before the rotation, by batches of one; a second pass finds nothing."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        for name in ("a", "b", "c"):
            await written(s1, name, f"value of {name}")
        coming = await rotate(m1, s1)
        assert (await m1.rotation.progress(ADMIN)).left == 3
        last = None
        for _ in range(3):
            batch = await m1.rotation.renew(ADMIN, last, 1)
            assert batch.renewed == 1
            last = batch.last
        assert (await m1.rotation.renew(ADMIN, last, 1)).last is None
        progress = await m1.rotation.progress(ADMIN)
        assert (progress.left, progress.counts) == (0, {coming: 3})
        for host in (m1, s1):
            assert [await read(host, name) for name in ("a", "b", "c")] == ["value of a", "value of b", "value of c"]

    run(story)


def test_a_value_that_does_not_open_is_left_and_named(run: Run) -> None:
    """The others are brought over all the same, and its secret is not forgotten."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        for name in ("a", "b"):
            await written(s1, name, "value")
        with sqlite3.connect(world.root / "sso.db") as database:
            database.execute("UPDATE config_value SET envelope = x'01' WHERE name = 'a'")
        await rotate(m1, s1)
        batch = await m1.rotation.renew(ADMIN, None, 100)
        assert (batch.renewed, [place.owner for place in batch.damaged], m1.tally.damaged) == (1, ["a"], 1)
        assert (await m1.rotation.prune(ADMIN, 0, 0, dry_run=False)).pruned == []
        assert ("user:admin", "re-encrypt values", "app/a/x", "ciphertext-rejected") in m1.audit.lines

    run(story)


def test_the_master_keeps_count_of_what_is_left(run: Run) -> None:
    """From step to step, without a question to the database but the first; another server says nothing of it."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        for name in ("a", "b", "c"):
            await written(s1, name, "value")
        await m1.tally.count()
        assert (m1.tally.phase, m1.tally.left) == ("idle", 0)
        await m1.rotation.prepare(ADMIN)
        assert m1.tally.phase == "prepared"
        backed_up(m1)
        await m1.membership.observe()
        assert m1.tally.phase == "backed_up"
        await m1.rotation.switch(ADMIN, [], 1, dry_run=False)
        assert (await m1.rotation.progress(ADMIN)).left == m1.tally.left == 3
        await m1.rotation.renew(ADMIN, None, 2)
        assert (m1.tally.phase, m1.tally.left, m1.tally.renewed) == ("re_encrypting", 1, 2)
        await m1.rotation.renew(ADMIN, None, 2)
        assert (m1.tally.phase, m1.tally.left, m1.tally.renewed) == ("idle", 0, 3)
        await s1.tally.count()
        assert (s1.tally.phase, s1.tally.left, s1.tally.renewed) == (None, None, 0)

    run(story)


def test_a_master_knows_of_a_rotation_that_another_one_left(run: Run) -> None:
    """It counts by itself, and a batch that is done while it counts is not taken back by that."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        await with_fields(m1, m2)
        for name in ("a", "b"):
            await written(m1, name, "value")
        await rotate(m1, m2)
        await m1.rotation.renew(ADMIN, None, 1)
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert m2.tally.left is None
        await m2.tally.count()
        assert (m2.tally.phase, m2.tally.left) == ("re_encrypting", 1)
        current = m2.environment.read().current_key_id
        assert current is not None
        await m2.rotation.renew(ADMIN, None, 1)
        m2.tally.know(current, 1, 0)  # counted before the batch, told after it
        assert m2.tally.left == 0

    run(story)


def test_another_master_goes_on_with_a_rotation(run: Run) -> None:
    """It holds the next secret and switches to it; the old master comes back as a server that has it too."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        prepared = await m1.rotation.prepare(ADMIN)
        await m2.membership.noticed()
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert await m2.rotation.prepare(ADMIN) == prepared._replace(changed=False)
        backed_up(m2)
        await m2.rotation.switch(ADMIN, [], 1, dry_run=False)
        await m1.membership.noticed()
        assert m1.node.key_id == m2.node.key_id == prepared.coming.hex()
        with pytest.raises(NotMaster):
            await m1.rotation.prepare(ADMIN)

    run(story)


def test_a_next_secret_that_is_lost_with_its_master_is_made_anew(run: Run) -> None:
    """Nothing is sealed under it, so nothing is lost; the master that does not hold it does not switch to it."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        world.network.cut.add("m1")
        prepared = await m1.rotation.prepare(ADMIN)
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        with pytest.raises(RotationRefused, match="another master made it"):
            await m2.rotation.switch(ADMIN, ["m1"], 1, dry_run=False)
        again = await m2.rotation.prepare(ADMIN)
        assert again.changed
        assert again.coming != prepared.coming

    run(story)


def test_a_backup_from_before_the_switch_restores_after_it(run: Run) -> None:
    """It holds the next secret, which the database calls current by then."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        coming = await rotate(m1, m2)
        keyring = m1.node.keyring
        assert keyring is not None
        before = keyring.with_current(next(key for key in keyring.keys if key != coming))
        m2.node.adopt(None)
        m2.sealed.write(before)
        await m2.membership.observe()
        assert m2.node.key_id == coming.hex()

    run(story)


@pytest.mark.parametrize("moved", [True, False])
def test_a_database_from_before_the_rotation_opens(run: Run, moved: bool) -> None:
    """Restored from an older copy, it calls the retired secret current, and the servers have it still. Where the master has moved
    since, one is made the master anew.
    """

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        await written(s1, "in", "before")
        copy = world.root / "copy.db"
        with sqlite3.connect(world.root / "sso.db") as live, sqlite3.connect(copy) as kept:
            live.backup(kept)
        first = m1.environment.read().current_key_id
        if moved:
            await m1.mastership.deactivate(ADMIN, dry_run=False)
            await m1.mastership.activate(ADMIN, None, dry_run=False)
            await s1.membership.noticed()
        await rotate(m1, s1)
        await m1.rotation.renew(ADMIN, None, 100)
        await written(s1, "in", "after", 1)
        with sqlite3.connect(copy) as kept, sqlite3.connect(world.root / "sso.db") as live:
            kept.backup(live)
        await m1.membership.observe()
        assert m1.node.can_encrypt != moved
        seen = m1.node.state.epoch
        if moved:
            assert (await m1.mastership.deactivate(ADMIN, dry_run=False)).epoch == m1.environment.read().epoch < seen
        await m1.mastership.activate(ADMIN, None, dry_run=False)
        await s1.membership.noticed()
        for host in (m1, s1):
            assert host.node.key_id == first.hex()  # type: ignore[union-attr]
            assert await read(host, "in") == "before"
            assert host.node.state.epoch == (seen + 1 if moved else seen), "no epoch is given out twice"
        await written(s1, "in", "again", 1)

    run(story)


def test_a_retired_secret_stays_while_anything_may_need_it(run: Run) -> None:
    """A value, its age, and its place among the last ones, each with its reason; then it leaves every keyring."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        await with_fields(m1, s1)
        await written(s1, "in", "value")
        first = m1.environment.read().current_key_id
        assert first is not None
        await rotate(m1, s1)
        found = await m1.rotation.prune(ADMIN, 0, 0, dry_run=False)
        assert found.kept == [Kept(first, "1 values are sealed under it: re-encrypt them first")]
        await m1.rotation.renew(ADMIN, None, 100)
        assert "retired last" in (await m1.rotation.prune(ADMIN, 0, 1, dry_run=False)).kept[0].reason
        assert "only" in (await m1.rotation.prune(ADMIN, 1, 0, dry_run=False)).kept[0].reason
        world.clock.seconds += timedelta(days=2).total_seconds()
        await m1.membership.observe()
        assert (await m1.rotation.prune(ADMIN, 1, 0, dry_run=True)).pruned == [first]
        assert len(m1.environment.read().keys) == 2
        assert (await m1.rotation.prune(ADMIN, 1, 0, dry_run=False)).pruned == [first]
        await s1.membership.noticed()
        for host in (m1, s1):
            assert first.hex() not in host.node.held_key_ids
            assert await read(host, "in") == "value"
        sealed = m1.kept()
        assert sealed is not None
        assert first not in sealed.keys

    run(story)


@pytest.mark.parametrize("who", ["cut off", "behind"])
def test_nothing_is_forgotten_while_a_server_may_still_use_it(run: Run, who: str) -> None:
    """What it encrypts for programs would open nowhere any more: it is named, also by a dry run, and the secret stays."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        before = s1.node.keyring
        await rotate(m1, s1)
        if who == "cut off":
            world.network.cut.add("s1")
        else:
            s1.node.adopt(before)
            s1.membership.noticed = nothing  # type: ignore[method-assign]
        for dry_run in (True, False):
            found = await m1.rotation.prune(ADMIN, 0, 0, dry_run=dry_run)
            assert found.pruned == []
            assert found.kept[0].reason.startswith("s1 cannot be asked" if who == "cut off" else "s1 uses")
        assert len(m1.node.held_key_ids) == 2

    async def nothing() -> None:
        """It does not hear of anything."""

    run(story)


def test_without_the_database_no_step_is_taken(run: Run) -> None:
    """And it is said that it is the database: a secret there is."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        m1.database.lost = True
        for step in (m1.rotation.prepare(ADMIN), m1.rotation.switch(ADMIN, [], 1, dry_run=False)):
            with pytest.raises(DatabaseUnavailable, match="which cannot be reached"):
                await step

    run(story)


def test_a_next_secret_that_cannot_be_sealed_is_not_written_down(run: Run) -> None:
    """A full disk costs nothing but the rotation, and is named with what to do."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        path = world.root / "m1.sealed"
        path.unlink()
        path.mkdir()
        with pytest.raises(RotationRefused, match="cannot be sealed on this master's disk") as refusal:
            await m1.rotation.prepare(ADMIN)
        assert refusal.value.next_step
        assert m1.environment.read().next_key is None
        assert len(m1.node.held_key_ids) == 1

    run(story)


def test_only_an_sso_administrator_rotates(run: Run) -> None:
    """Each step asks."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        for step in (
            m1.rotation.progress(NOBODY),
            m1.rotation.prepare(NOBODY),
            m1.rotation.switch(NOBODY, [], 1, dry_run=True),
            m1.rotation.renew(NOBODY, None, 1),
            m1.rotation.prune(NOBODY, 0, 0, dry_run=True),
        ):
            with pytest.raises(Forbidden):
                await step

    run(story)
