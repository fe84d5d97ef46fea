"""Whoever waits for a change is woken by it, and a cursor tells what has happened since; in doubt it says that it is lost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ssod.service.feed import KEPT_CHANGES, Feed
from ssod.storage.changes import Change

CHANGE = Change("config", "app", "in")
LONG = 30.0


def run(told: Callable[[Feed], Coroutine[Any, Any, None]]) -> None:
    """With a feed that hears."""

    async def live() -> None:
        numbers = itertools.count()
        feed = Feed(lambda: f"session{next(numbers)}")
        feed.begin()
        await told(feed)

    asyncio.run(live())


async def waiting(feed: Feed, application: str) -> asyncio.Task[bool]:
    """One who waits already."""
    task = asyncio.create_task(feed.wait(application, feed.moment, LONG))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize(("application", "change"), [("app", CHANGE), ("", CHANGE), ("app", Change("sso")), ("", Change("sso"))])
def test_a_change_wakes_whom_it_concerns(application: str, change: Change) -> None:
    """Those who wait for its application, and for all; what is of none concerns everybody."""

    async def told(feed: Feed) -> None:
        waiter = await waiting(feed, application)
        feed.hear([change])
        assert await waiter

    run(told)


def test_a_change_of_another_application_wakes_nobody() -> None:
    """It goes on waiting, until its time is over."""

    async def told(feed: Feed) -> None:
        waiter = await waiting(feed, "app")
        feed.hear([Change("config", "other", "in")])
        await asyncio.sleep(0)
        assert not waiter.done()
        waiter.cancel()
        assert not await feed.wait("app", feed.moment, 0.001)

    run(told)


def test_what_happened_before_the_wait_began_is_not_slept_through() -> None:
    """Whoever looked at an earlier moment looks again at once."""

    async def told(feed: Feed) -> None:
        moment = feed.moment
        feed.hear([CHANGE])
        assert await feed.wait("app", moment, LONG)

    run(told)


@pytest.mark.parametrize("wake", ["begin", "wake", "close"])
def test_everybody_is_woken_when_all_may_be_different(wake: str) -> None:
    """After a gap, by a change of who may do what, at a stop: which is the one that is not worth another look."""

    async def told(feed: Feed) -> None:
        waiter = await waiting(feed, "app")
        getattr(feed, wake)()
        assert await waiter == (wake != "close")
        if wake == "close":
            assert not await feed.wait("app", -1, LONG)

    run(told)


def test_a_cursor_tells_each_change_since_it_once() -> None:
    """In order, and nothing of before."""

    async def told(feed: Feed) -> None:
        feed.hear([Change("sso")])
        cursor = feed.cursor
        assert feed.since(cursor) == (cursor, [], False)
        feed.hear([CHANGE, Change("role")])
        feed.hear([CHANGE])
        assert feed.since(cursor) == (feed.cursor, [CHANGE, Change("role")], False)

    run(told)


def test_a_cursor_that_is_too_old_is_lost() -> None:
    """Of so many changes the first is forgotten."""

    async def told(feed: Feed) -> None:
        cursor = feed.cursor
        feed.hear([CHANGE] * KEPT_CHANGES)
        assert not feed.since(cursor).lost
        feed.hear([CHANGE])
        assert feed.since(cursor) == (feed.cursor, [], True)

    run(told)


def test_a_cursor_does_not_outlive_a_gap() -> None:
    """While changes may be missed, and afterwards."""

    async def told(feed: Feed) -> None:
        cursor = feed.cursor
        feed.lose()
        assert feed.since(cursor).lost
        feed.begin()
        assert feed.since(cursor).lost
        assert not feed.since(feed.cursor).lost

    run(told)
