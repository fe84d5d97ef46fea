"""What a server believes of its master and its keyring, with a clock that is moved and cables that are pulled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hosts import ADMIN, APP, World
from keys import keyring_of, secret
from sqlalchemy import event

from ssod.core.keyring import Keyring
from ssod.core.silence import REPORT_SECONDS
from ssod.core.states import ATTACHMENT_SLACK, CONFIRMATION_WINDOW, Mastership
from ssod.errors import MasterLost, MastershipUnconfirmed, NotMaster
from ssod.service.encryption import PROBE_PAUSE
from ssod.service.membership import LOOK_PAUSE
from ssod.service.ports import Fetched
from ssod.storage.records import ServerReport

REPORT = ServerReport(True, "ab" * 16, None, 1, "9.9.9")

Run = Callable[[Callable[[World], Awaitable[None]]], None]


def test_a_server_fetches_the_keyring_of_the_master(run: Run) -> None:
    """Attached, with the same key, and able to encrypt; a standby has sealed it, a plain server has not."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        for host in (m2, s1):
            assert host.node.attached
            assert host.node.key_id == m1.node.key_id
            assert host.node.can_encrypt
        kept = m2.kept()
        assert kept is not None
        assert kept.current.id.hex() == m1.node.key_id
        assert s1.kept() is None

    run(story)


def test_an_older_epoch_s_keyring_is_refused(run: Run) -> None:
    """A server that has seen epoch 2 neither uses nor seals what an old master hands out, and says whose it was."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        old = m1.node.keyring
        assert old is not None
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert s1.node.state.epoch == 2
        await m1.membership.refresh()
        held, sealed = s1.node.keyring, m1.kept()
        world.network.answer = Fetched(1, old)
        for host in (s1, m1):
            await host.membership.refresh()
            assert not host.node.attached
            assert "epoch 1, older than epoch 2" in host.node.state.reason
        assert s1.node.keyring is held
        assert sealed is not None
        assert m1.kept().epoch == sealed.epoch == 2  # type: ignore[union-attr]

    run(story)


@pytest.mark.parametrize("how", ["another environment", "without the canary's key"])
def test_a_keyring_that_does_not_fit_the_database_is_refused(run: Run, how: str) -> None:
    """It is compared before it is used: environment and canaries."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        held, environment = s1.node.keyring, m1.environment.read()
        stranger = keyring_of(9) if how == "another environment" else Keyring(environment.id, 1, secret(9), backed_up=True)
        world.network.answer = Fetched(1, stranger)
        await s1.membership.refresh()
        assert not s1.node.attached
        assert "keyring" in s1.node.state.reason
        assert s1.node.keyring is held

    run(story)


def test_a_master_that_was_paused_acts_on_nothing_before_it_has_looked(run: Run) -> None:
    """Its confirmation is too old by the clock alone; the first look makes it the master again, or ends that."""

    async def story(world: World) -> None:
        m1, m2 = await world.servers("m1", "m2")
        world.clock.seconds += CONFIRMATION_WINDOW + 0.1
        assert m1.node.mastership is Mastership.UNCONFIRMED
        assert not m1.node.can_encrypt
        for use in (m1.node.require_master, m1.node.for_encryption):
            with pytest.raises(MastershipUnconfirmed):
                use()
        with pytest.raises(MastershipUnconfirmed):
            await m1.mastership.keyring_for(ADMIN, "m2", None, 0)
        await m1.membership.observe()
        assert m1.node.mastership is Mastership.ACTIVE

        world.clock.seconds += CONFIRMATION_WINDOW + 0.1
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        with pytest.raises(NotMaster):
            await m1.mastership.keyring_for(ADMIN, "m2", None, 0)
        assert m1.node.mastership is Mastership.PASSIVE
        assert any("It has stepped down" in each.sentence for each in m1.said)

    run(story)


def test_a_master_without_the_database_is_in_doubt_after_the_window(run: Run) -> None:
    """Within the window it acts; after it, encryption is refused as unconfirmed; with the database it acts again."""

    async def story(world: World) -> None:
        (m1,) = await world.servers("m1")
        m1.database.lost = True
        world.clock.seconds += CONFIRMATION_WINDOW - 1
        await m1.membership.observe()
        assert m1.node.can_encrypt
        world.clock.seconds += 2
        await m1.membership.observe()
        assert m1.node.mastership is Mastership.UNCONFIRMED
        with pytest.raises(MastershipUnconfirmed, match="the cable is pulled"):
            m1.node.for_encryption()
        assert m1.encryption.decrypt is not None
        m1.database.lost = False
        await m1.membership.observe()
        assert m1.node.can_encrypt

    run(story)


def test_silence_is_noticed_by_the_clock_alone(run: Run) -> None:
    """A server that nothing has told anything stops to encrypt when a refresh is overdue."""

    async def story(world: World) -> None:
        _, s1 = await world.servers("m1", "s1")
        world.clock.seconds += 60 * 1.1 + ATTACHMENT_SLACK
        assert s1.node.can_encrypt
        world.clock.seconds += 0.1
        with pytest.raises(MasterLost, match="master m1 not seen for"):
            s1.node.for_encryption()

    run(story)


def test_requests_of_a_detached_server_share_one_probe(run: Run) -> None:
    """Many that ask to encrypt at once make one question to the master, and all are served when it answers."""

    async def story(world: World) -> None:
        _, s1 = await world.servers("m1", "s1")
        world.network.cut.add("m1")
        await s1.membership.refresh()
        assert not s1.node.attached
        world.network.fetches.clear()
        for _ in range(3):
            with pytest.raises(MasterLost):
                await s1.encryption.keyring_for_encryption()
        assert world.network.fetches == ["m1"], "one question within the pause between two"

        world.network.cut.clear()
        world.clock.seconds += PROBE_PAUSE + 0.01
        world.network.fetches.clear()
        keyrings = await asyncio.gather(*(s1.encryption.keyring_for_encryption() for _ in range(20)))
        assert all(keyring is s1.node.keyring for keyring in keyrings)
        assert s1.node.attached
        assert world.network.fetches == ["m1"], "twenty that ask at once share one question"

    run(story)


def test_a_notice_is_not_held_up_by_a_question_to_a_dead_master(run: Run) -> None:
    """A server that still waits for the old master's answer attaches to the new one the moment it is told."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        world.network.silent.add("m1")
        hopeless = asyncio.create_task(s1.membership.refresh())
        await world.network.in_vain.wait()
        await m1.mastership.deactivate(ADMIN, dry_run=False)
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        assert s1.node.attached
        assert s1.node.state.master == "m2"
        assert not hopeless.done()
        hopeless.cancel()

    run(story)


def test_a_look_reads_the_servers_when_other_ones_are_enrolled(run: Run) -> None:
    """However often servers look and report: what they cost the database does not grow with the square of their number."""

    async def story(world: World) -> None:
        m1, s1 = await world.servers("m1", "s1")
        reads: list[str] = []
        for host in (m1, s1):
            await host.membership.look(reports=True)
            event.listen(host.database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: reads.append(statement))

        def of_servers() -> int:
            count = sum("FROM server" in each for each in reads)
            assert reads, "nothing was asked at all"
            reads.clear()
            return count

        for _ in range(5):
            for host in (m1, s1):
                await host.membership.report_again()
                await host.membership.refresh()
        assert of_servers() == 0
        assert m1.membership.enrolled.keys() == s1.membership.enrolled.keys() == {"m1", "s1"}

        m1.servers.enrol("s2", "s2:7443", False, world.clock.now().utc)
        for host in (m1, s1):
            reads.clear()
            await host.membership.observe()
            assert of_servers() == 1
            assert "s2" in host.membership.enrolled

        # What others last said of themselves is for those who want to see it.
        world.clock.seconds += LOOK_PAUSE
        s1.servers.report("m1", REPORT, world.clock.now().utc)
        await s1.membership.look(reports=True)
        assert of_servers() == 1
        assert s1.membership.enrolled["m1"].version == REPORT.version

        s1.database.lost = True
        await s1.membership.observe()
        s1.database.lost = False
        reads.clear()
        await s1.membership.observe()
        assert of_servers() == 1, "it may have come back as an older copy"

    run(story)


def test_a_restarted_standby_opens_its_sealed_copy_and_a_plain_server_has_none(run: Run) -> None:
    """With nobody to be reached the one decrypts, and knows the epoch that it must not go back behind."""

    async def story(world: World) -> None:
        m1, m2, s1 = await world.servers("m1", "m2", "s1")
        sealed = m1.encryption.encrypt(ADMIN, APP, "c", [b"value"])
        world.network.cut |= {"m1", "m2", "s1"}
        again, plain = world.host("m2"), world.host("s1")
        for old in (m2, s1):
            old.close()
        for host in (again, plain):
            await host.membership.sealing.open()
            await host.membership.refresh()
            await host.authority.reload()
        assert again.encryption.decrypt(ADMIN, APP, "c", sealed) == [b"value"]
        assert again.node.state.epoch == 1
        assert not again.node.can_encrypt
        assert plain.node.keyring is None

    run(story)


def test_a_sealed_copy_that_was_altered_is_said_and_not_used(run: Run) -> None:
    """A flipped bit, or a key of another host: a warning, and an empty server."""

    async def story(world: World) -> None:
        await world.servers("m1", "m2")
        file = world.root / "m2.sealed"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        again = world.host("m2")
        await again.membership.sealing.open()
        assert again.node.keyring is None
        assert "does not open with this host's sealing key" in again.warnings[0]

    run(story)


def test_every_server_reports_once_a_minute_also_when_nothing_changes(run: Run) -> None:
    """The master too, and one that is detached: a server that is silent is one that is gone."""

    async def story(world: World) -> None:
        hosts = await world.servers("m1", "s1")
        world.network.cut.add("m1")
        await hosts[1].membership.refresh()
        assert not hosts[1].node.attached

        def last_seen() -> dict[str, float]:
            now = world.clock.now().utc
            return {each.name: (now - each.last_seen).total_seconds() for each in hosts[0].servers.all() if each.last_seen}

        async def look(seconds: float) -> None:
            world.clock.seconds += seconds
            for host in hosts:
                await host.membership.observe()

        await look(REPORT_SECONDS)
        assert last_seen() == {"m1": 0, "s1": 0}
        await look(REPORT_SECONDS - 1)
        assert last_seen() == {"m1": REPORT_SECONDS - 1, "s1": REPORT_SECONDS - 1}
        await look(1)
        assert last_seen() == {"m1": 0, "s1": 0}

    run(story)
