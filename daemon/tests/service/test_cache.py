"""A copy of the database that is exact while changes are heard, and that outlives the database with its age."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

import pytest
from hosts import FakeClock

from ssod.errors import ConfigNotFound, DatabaseUnavailable
from ssod.service.cache import ENTRY_BYTES, NAME_BYTES, Cache, Key
from ssod.service.feed import Feed
from ssod.storage.changes import Change

KEY: Key = ("app", ("in",))
CHANGE = Change("config", "app", "in")
# What a value of one name costs besides its own bytes.
COST = ENTRY_BYTES + NAME_BYTES


class Store:
    """A database that is asked by way of a cache; `asked` counts."""

    def __init__(self, count: int = 10, room: int = 1 << 20) -> None:
        self.clock = FakeClock()
        self.feed = Feed(lambda: "name")
        self.lost = False
        self.error: Exception | None = None
        self.values: dict[Key, bytes] = {KEY: b"1"}
        self.asked = 0
        self.gate: asyncio.Event | None = None
        self.cache: Cache[bytes] = Cache("config", self.feed, self.clock, lambda: self.lost, len, count=count, room=room)

    def loader(self, key: Key) -> Callable[[], Awaitable[bytes]]:
        async def load() -> bytes:
            self.asked += 1
            value = self.values.get(key)
            if self.gate is not None:
                await self.gate.wait()
            if self.error is not None:
                raise self.error
            if value is None:
                raise ConfigNotFound("there is none")
            return value

        return load

    async def read(self, key: Key = KEY) -> tuple[bytes, datetime | None]:
        return await self.cache.read(key, self.loader(key))


def story(told: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        asyncio.run(told())

    test.__doc__ = told.__doc__
    return test


@story
async def test_what_was_read_is_read_once() -> None:
    """As long as every change is heard."""
    store = Store()
    store.feed.begin()
    assert await store.read() == (b"1", None)
    assert await store.read() == (b"1", None)
    assert store.asked == 1


@story
async def test_what_nobody_vouches_for_is_read_again() -> None:
    """Before changes are heard, and after they may have been missed."""
    store = Store()
    await store.read()
    await store.read()
    assert store.asked == 2
    store.feed.begin()
    await store.read()
    await store.read()
    assert store.asked == 3
    store.feed.lose()
    await store.read()
    assert store.asked == 4
    store.feed.begin()
    await store.read()
    assert store.asked == 5


@pytest.mark.parametrize("change", [CHANGE, Change("config", "app"), Change("config")])
def test_a_change_is_read_anew(change: Change) -> None:
    """Of this one, of the application's, or of all."""

    @story
    async def told() -> None:
        store = Store()
        store.feed.begin()
        await store.read()
        store.values[KEY] = b"2"
        store.feed.hear([change])
        assert await store.read() == (b"2", None)

    told()


@pytest.mark.parametrize("change", [Change("mapping", "app", "in"), Change("config", "app", "out"), Change("config", "other")])
def test_a_change_of_something_else_costs_nothing(change: Change) -> None:
    """Of another kind, name or application."""

    @story
    async def told() -> None:
        store = Store()
        store.feed.begin()
        await store.read()
        store.feed.hear([change])
        await store.read()
        assert store.asked == 1

    told()


@story
async def test_what_depends_on_several_names_goes_with_each() -> None:
    """And with those of every application, where its own is not known beforehand."""
    store = Store()
    store.feed.begin()
    key: Key = ("", ("a", "b"))
    store.values[key] = b"1"
    for name in key[1]:
        await store.read(key)
        asked = store.asked
        store.feed.hear([Change("config", "whatever", name)])
        await store.read(key)
        assert store.asked == asked + 1


@pytest.mark.parametrize("void", ["heard", "lost", "lost and heard again"])
def test_what_is_changed_while_it_is_read_is_not_kept(void: str) -> None:
    """The answer under way may be older than the change; whoever asks after it gets the new value."""

    @story
    async def told() -> None:
        store = Store()
        store.feed.begin()
        store.gate = asyncio.Event()
        early = asyncio.create_task(store.read())
        await asyncio.sleep(0)  # it has begun
        await asyncio.sleep(0)
        store.values[KEY] = b"2"
        if void == "heard":
            store.feed.hear([CHANGE])
        else:
            store.feed.lose()
            if void != "lost":
                store.feed.begin()
        late = asyncio.create_task(store.read())
        await asyncio.sleep(0)
        store.gate.set()
        assert (await early)[0] == b"1"
        assert (await late)[0] == b"2"
        assert (await store.read())[0] == b"2"

    told()


@story
async def test_those_who_ask_at_once_ask_once() -> None:
    """And one of them who goes away takes nothing from the others."""
    store = Store()
    store.feed.begin()
    store.gate = asyncio.Event()
    asking = [asyncio.create_task(store.read()) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    store.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert answers[1:] == [(b"1", None)] * 4
    assert store.asked == 1


@story
async def test_a_lost_database_is_served_from_the_copy_with_its_age() -> None:
    """As of when it was last known to be right; what was never read is an error."""
    store = Store()
    store.feed.begin()
    await store.read()
    store.clock.seconds += 60
    until = store.clock.now().utc
    store.feed.lose()
    store.clock.seconds += 60
    store.error = DatabaseUnavailable("it is away")
    assert await store.read() == (b"1", until)
    store.lost = True
    asked = store.asked
    assert await store.read() == (b"1", until)
    assert store.asked == asked
    with pytest.raises(DatabaseUnavailable):
        await store.read(("app", ("unread",)))


@story
async def test_what_is_known_to_be_changed_is_not_served_when_the_database_is_lost() -> None:
    """It may have been deleted because nobody must have it any more."""
    store = Store()
    store.feed.begin()
    await store.read()
    store.feed.hear([CHANGE])
    store.error = DatabaseUnavailable("it is away")
    with pytest.raises(DatabaseUnavailable):
        await store.read()


@story
async def test_what_is_gone_is_not_served_again() -> None:
    """Also where the change was not heard, but found."""
    store = Store()
    await store.read()
    del store.values[KEY]
    with pytest.raises(ConfigNotFound):
        await store.read()
    store.lost = True
    store.error = DatabaseUnavailable("it is away")
    with pytest.raises(DatabaseUnavailable):
        await store.read()


@pytest.mark.parametrize(("count", "room"), [(2, 1 << 20), (100, 2 * (COST + 1))])
def test_the_least_used_one_makes_room(count: int, room: int) -> None:
    """For one more value, or for its bytes."""

    @story
    async def told() -> None:
        store = Store(count, room)
        store.feed.begin()
        keys: list[Key] = [("app", (name,)) for name in "abc"]
        for key in keys[:2]:
            store.values[key] = b"x"
            await store.read(key)
        await store.read(keys[0])
        store.values[keys[2]] = b"x"
        await store.read(keys[2])
        assert [store.cache.exact(key) for key in keys] == [b"x", None, b"x"]

    told()


@story
async def test_a_value_that_is_larger_than_the_room_is_given_and_not_kept() -> None:
    """Nor does it push out everything for good."""
    store = Store(room=COST + 10)
    store.feed.begin()
    store.values[KEY] = b"x" * 11
    assert await store.read() == (b"x" * 11, None)
    assert store.cache.exact(KEY) is None


@story
async def test_a_key_of_many_names_takes_its_room() -> None:
    """As that of a user with many groups does."""
    store = Store(room=ENTRY_BYTES + 100 * NAME_BYTES)
    store.feed.begin()
    for number, kept in ((100, b""), (101, None)):
        key: Key = ("app", tuple(map(str, range(number))))
        store.values[key] = b""
        assert await store.read(key) == (b"", None)
        assert store.cache.exact(key) == kept
