"""Who waits for a change is asked anew who he is before he is given it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hosts import ADMIN, Host, World

from ssod.core.access import Caller
from ssod.service.denials import Denials
from ssod.storage.changes import Change
from ssod.storage.records import Application, Field
from ssod.transport.app import App
from ssod.transport.protocol import UnixPeer
from ssod.transport.routes import DataRoutes, WatchRoutes

Run = Callable[[Callable[[World], Awaitable[None]]], None]

BILLING = Application("billing", "", "", True, (), ("group:staff",), (Field("host"),), 0)
CONFIG = "/v1/applications/billing/config/prod"


class Groups:
    """Alice, and the groups that she is in at the moment."""

    def __init__(self) -> None:
        self.now = {"group:staff"}

    def of(self, _peer: object) -> Caller:
        return Caller("user:alice", frozenset({"user:alice", *self.now}))


def edge(host: Host, groups: Groups) -> App:
    data = DataRoutes(host.authority, host.encryption, host.use_of_applications, host.configurations, host.node, host.feed)
    routes = [*data.routes(), *WatchRoutes(host.authority, host.feed).routes()]
    denials = Denials(host.audit, host.node.clock)
    return App(routes, groups, "t", denials, lambda *_: None, lambda *_: None)  # type: ignore[arg-type]


async def ask(app: App, path: str, query: str, etag: str = "") -> tuple[int, str, bytes]:
    """Status, ETag and body."""
    sent: list[Any] = []
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return asked.pop() if asked else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"if-none-match", etag.encode())] if etag else []
    scope = {"method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
    await app({**scope, "peer": UnixPeer(1, 1)}, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"etag", b"").decode(), sent[1]["body"]


async def ready(world: World) -> tuple[Host, App, Groups]:
    (m1,) = await world.servers("m1")
    m1.applications.put(BILLING, None)
    await m1.authority.reload()
    await m1.configurations.put(ADMIN, "billing", "prod", {"host": "h1"}, None, dry_run=False)
    m1.feed.begin()
    groups = Groups()
    return m1, edge(m1, groups), groups


async def settle() -> None:
    """Lets a request begin to wait: what it asks for before is at hand, in this very loop."""
    for _ in range(20):
        await asyncio.sleep(0)


async def change(host: Host) -> None:
    await host.configurations.put(ADMIN, "billing", "prod", {"host": "h2"}, None, dry_run=False)
    host.feed.hear([Change("config", "billing", "prod")])


@pytest.mark.parametrize("stays", [True, False])
def test_a_new_value_is_for_who_is_still_in_the_group(run: Run, stays: bool) -> None:
    """One who has left it while he waited is refused."""

    async def story(world: World) -> None:
        m1, app, groups = await ready(world)
        _, etag, _ = await ask(app, CONFIG, "")
        waiting = asyncio.create_task(ask(app, CONFIG, "wait=60", etag))
        await settle()
        if not stays:
            groups.now.clear()
        await change(m1)
        status, _, body = await waiting
        assert (status, b"h2" in body) == ((200, True) if stays else (403, False))

    run(story)


def test_a_watcher_who_has_left_the_group_hears_of_nothing(run: Run) -> None:
    """His wait ends when its time is over."""

    async def story(world: World) -> None:
        m1, app, groups = await ready(world)
        cursor = m1.feed.cursor
        waiting = asyncio.create_task(ask(app, "/v1/watch", f"wait=1&after={cursor}"))
        await settle()
        groups.now.clear()
        await change(m1)
        status, _, body = await waiting
        assert (status, b"prod" in body) == (200, False)

    run(story)
