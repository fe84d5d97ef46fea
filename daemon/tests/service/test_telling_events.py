"""What servers tell of events together: each once, by whoever the database lets; without it only the one that was the master."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from hosts import ADMIN, Host, World
from sqlalchemy import event, update

from ssod.core.alertmanager import News
from ssod.core.events import HOLD_OFF, Thresholds
from ssod.core.silence import SILENT_SECONDS
from ssod.service.events import Events
from ssod.service.offload import Offload
from ssod.storage import schema as t
from ssod.storage.events import EventRepository

Run = Callable[[Callable[[World], Awaitable[None]]], None]


class Teller:
    """One server's events, and what it told."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.news: list[News] = []
        host.node.certificate_expires = host.node.clock.now().utc + timedelta(days=100)
        repository = EventRepository(host.database)
        self.events = Events(host.membership, repository, Offload(1), Thresholds(), self.news.append)

    @property
    def told(self) -> list[tuple[str, str, bool]]:
        return [(each.event, each.subject, each.ended_at is None) for each in self.news]


async def tellers(world: World, *names: str) -> list[Teller]:
    """Their clock is that of the database, until it is moved."""
    world.clock.began = datetime.now(UTC) - timedelta(seconds=world.clock.seconds)
    made = [Teller(host) for host in await world.servers(*names)]
    for teller in made:
        await teller.events.look()
    return made


async def all_look(tellers: list[Teller]) -> None:
    for teller in tellers:
        await teller.host.membership.refresh()
        await teller.events.look()


def told_by_all(tellers: list[Teller]) -> list[tuple[str, str, bool]]:
    return [each for teller in tellers for each in teller.told]


LOST = ("SsoMasterLost", "", True)
FOUND = ("SsoMasterLost", "", False)


def test_of_all_that_see_no_master_one_tells_it_and_one_tells_its_return(run: Run) -> None:
    """Not before its time, and not again while it holds."""

    async def story(world: World) -> None:
        every = await tellers(world, "m1", "m2", "s1")
        m1, m2, _ = (each.host for each in every)
        await m1.mastership.deactivate(ADMIN, dry_run=False)
        await all_look(every)
        world.clock.seconds += 14
        await all_look(every)
        assert told_by_all(every) == []
        world.clock.seconds += 1
        for _ in range(3):
            await all_look(every)
        assert told_by_all(every) == [LOST]
        await m2.mastership.activate(ADMIN, None, dry_run=False)
        for _ in range(3):
            await all_look(every)
        assert sorted(told_by_all(every)) == [FOUND, LOST]

    run(story)


def test_a_master_that_is_lost_anew_at_once_is_held_off(run: Run) -> None:
    """What flaps makes no storm: it is told when the minute is over, if it holds then."""

    async def story(world: World) -> None:
        (one,) = every = await tellers(world, "m1")

        async def lose() -> None:
            await one.host.mastership.deactivate(ADMIN, dry_run=False)
            await all_look(every)
            world.clock.seconds += 15
            await all_look(every)

        await lose()
        await one.host.mastership.activate(ADMIN, None, dry_run=False)
        await all_look(every)
        await lose()
        assert one.told == [LOST, FOUND]
        with one.host.database.transaction() as connection:
            connection.execute(update(t.told_event).values(ended_at=t.told_event.c.ended_at - HOLD_OFF))
        await all_look(every)
        assert one.told == [LOST, FOUND, LOST]

    run(story)


def test_a_master_that_is_frozen_is_missed_by_those_who_are_attached_to_it(run: Run) -> None:
    """Its connections stay; but it confirms nothing between two looks of theirs."""

    async def story(world: World) -> None:
        _, two = await tellers(world, "m1", "m2")
        m2 = two.host
        with m2.database.transaction() as connection:
            connection.execute(update(t.environment).values(confirmed_at=t.environment.c.confirmed_at - 20))
        await m2.membership.observe()
        await two.events.look()
        assert two.told == []
        world.clock.seconds += 15
        for expected in ([], [LOST]):
            await m2.membership.observe()
            await two.events.look()
            assert m2.node.attached
            assert two.told == expected
            world.clock.seconds += 5

    run(story)


def test_a_lost_database_is_told_once_by_the_server_that_was_the_master(run: Run) -> None:
    """For a minute it may be lost; nobody else can know whether it is told."""

    async def story(world: World) -> None:
        every = await tellers(world, "m1", "m2", "s1")
        for teller in every:
            teller.host.database.lost = True
        await all_look(every)
        world.clock.seconds += 59
        await all_look(every)
        assert told_by_all(every) == []
        world.clock.seconds += 1
        for _ in range(3):
            await all_look(every)
        assert every[0].told == told_by_all(every) == [("SsoDatabaseUnreachable", "m1", True)]
        for teller in every:
            teller.host.database.lost = False
        for _ in range(3):
            await all_look(every)
        assert every[0].told == told_by_all(every) == [("SsoDatabaseUnreachable", "m1", holds) for holds in (True, False)]
        assert every[0].news[0].began_at == every[0].news[1].began_at

    run(story)


def test_the_master_tells_of_a_server_that_is_gone_and_of_its_return(run: Run) -> None:
    """Of one that has said nothing for so long, and says nothing for a minute more: the master may be just back itself."""

    async def story(world: World) -> None:
        one, two = await tellers(world, "m1", "s1")
        with one.host.database.transaction() as connection:
            silent = datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS + 1)
            connection.execute(update(t.server).where(t.server.c.name == "s1").values(last_seen=silent))
        await all_look([one])
        world.clock.seconds += 59
        await all_look([one])
        assert one.told == []
        world.clock.seconds += 1
        await all_look([one])
        assert one.told == [("SsoServerDown", "s1", True)]
        await all_look([two, one])
        assert one.told == [("SsoServerDown", "s1", True), ("SsoServerDown", "s1", False)]
        assert two.told == []

    run(story)


def test_after_a_loss_of_the_database_nobody_is_told_that_the_others_are_gone(run: Run) -> None:
    """Nobody could report or confirm anything meanwhile; whoever looks first must not take them for lost."""

    async def story(world: World) -> None:
        every = await tellers(world, "m1", "m2", "s1")
        for teller in every:
            teller.host.database.lost = True
        await all_look(every)
        world.clock.seconds += SILENT_SECONDS + 1
        for teller in every:
            teller.host.database.lost = False
        with every[0].host.database.transaction() as connection:
            long_ago = datetime.now(UTC) - timedelta(hours=1)
            connection.execute(update(t.server).values(last_seen=long_ago))
            connection.execute(update(t.environment).values(confirmed_at=long_ago.timestamp()))
        # The master is the last that finds the database; of the others none has reported when it looks.
        for teller in every[1:]:
            await teller.events.look()
            await teller.host.membership.observe()
            await teller.events.look()
        for _ in range(3):
            await all_look(every)
            world.clock.seconds += 60
        assert told_by_all(every) == []

    run(story)


def test_a_master_that_was_lost_with_the_database_is_told_when_it_had_time_to_return(run: Run) -> None:
    """Its last confirmation may be as old as it likes: it had nowhere to write another."""

    async def story(world: World) -> None:
        _, two = await tellers(world, "m1", "m2")
        two.host.database.lost = True
        await all_look([two])
        two.host.database.lost = False
        with two.host.database.transaction() as connection:
            connection.execute(update(t.environment).values(confirmed_at=t.environment.c.confirmed_at - 3600))
        world.network.cut.add("m1")
        for _ in range(3):
            await all_look([two])
            assert two.told == []
            world.clock.seconds += 5
        await all_look([two])
        assert two.told == [LOST]

    run(story)


def test_a_database_that_is_back_within_a_minute_is_no_event(run: Run) -> None:
    async def story(world: World) -> None:
        every = await tellers(world, "m1")
        host = every[0].host
        for _ in range(3):
            host.database.lost = True
            await all_look(every)
            world.clock.seconds += 50
            host.database.lost = False
            await all_look(every)
        assert every[0].told == []

    run(story)


def test_a_server_tells_of_itself_and_then_asks_the_database_no_more(run: Run) -> None:
    """While it is well, or has told how it is not: what many servers cost the database are their looks."""

    async def story(world: World) -> None:
        m1, s1 = await tellers(world, "m1", "s1")
        asked: list[str] = []
        event.listen(s1.host.database.engine, "before_cursor_execute", lambda _c, _k, statement, *_: asked.append(statement))

        async def look(seconds: float) -> int:
            world.clock.seconds += seconds
            for host in (m1.host, s1.host):
                await host.membership.refresh()
            asked.clear()
            await s1.events.look()
            return len(asked)

        assert await look(0) == 0
        expires = s1.host.node.certificate_expires = world.clock.now().utc + timedelta(days=3, hours=1)
        await look(0)
        assert await look(299) == 0
        assert await look(1) > 0
        assert [(each.event, each.subject, each.value) for each in s1.news] == [("SsoCertificateExpires", "s1", "3")]
        await look(0)
        assert await look(0) == 0
        s1.host.node.certificate_expires = expires + timedelta(days=300)
        assert await look(0) > 0
        assert s1.told == [("SsoCertificateExpires", "s1", True), ("SsoCertificateExpires", "s1", False)]
        assert s1.news[1].value == "3", "what is over is the same that was told"
        await look(0)
        assert await look(0) == 0
        s1.host.node.certificate_expires = expires
        for seconds in (0, 300, 5):
            await look(seconds)
        assert len(s1.told) == 2, "it is held off"
        with s1.host.database.transaction() as connection:
            connection.execute(update(t.told_event).values(ended_at=t.told_event.c.ended_at - HOLD_OFF))
        assert await look(5) > 0, "and not forgotten"
        assert len(s1.told) == 3
        assert m1.told == []

    run(story)


def test_only_the_master_reads_what_the_others_report(run: Run) -> None:
    async def story(world: World) -> None:
        every = await tellers(world, "m1", "s1")
        asked: dict[str, list[str]] = {}
        for teller in every:
            name = teller.host.node.state.server
            asked[name] = []
            listen = asked[name].append
            engine = teller.host.database.engine
            event.listen(engine, "before_cursor_execute", lambda _c, _k, statement, *_, listen=listen: listen(statement))
        for teller in every:
            await teller.events.look()
        assert any("FROM server" in each for each in asked["m1"])
        assert not any("FROM server" in each for each in asked["s1"])

    run(story)
