"""Servers without processes, in an event loop of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hosts import World

Run = Callable[[Callable[[World], Awaitable[None]]], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a story in a new world."""

    def live(story: Callable[[World], Awaitable[None]]) -> None:
        async def told() -> None:
            world = World(tmp_path)
            try:
                await story(world)
            finally:
                world.close()

        asyncio.run(told())

    return live
