"""What a server that is told of changes does when it cannot read them."""

from __future__ import annotations

import asyncio
from typing import cast

from ssod.errors import DatabaseUnavailable
from ssod.runtime.listener import Listener
from ssod.service.authority import Authority
from ssod.service.feed import Feed
from ssod.service.offload import Offload
from ssod.storage.changes import Change
from ssod.storage.repository import Database


class Reads:
    """Stands in for the authority: the first reads fail, as of a database that is just gone."""

    def __init__(self, failing: list[Exception]) -> None:
        self.failing = failing
        self.done = 0

    async def reload(self) -> None:
        if self.failing:
            raise self.failing.pop()
        self.done += 1


def test_roles_that_could_not_be_read_are_read_again() -> None:
    """Whatever went wrong: a role that was taken away must not stay."""

    async def story() -> None:
        reads = Reads([DatabaseUnavailable("gone"), KeyError("a defect")])
        feed = Feed(lambda: "a")
        listener = Listener(cast("Database", None), feed, cast("Authority", reads), Offload(1), lambda _: None)
        listener._take([Change("role", name="sso_auditor")])
        while not reads.done:
            try:
                async with asyncio.timeout(5):
                    await listener.keep_authority()
            except KeyError:
                pass
        assert not listener.environment.is_set()
        listener.close()

    asyncio.run(story())
