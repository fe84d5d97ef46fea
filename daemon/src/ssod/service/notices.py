"""Tells the other servers to look at database and master, all at once, and gathers what they hold then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ssod.service.node import Node
from ssod.service.ports import Noticed, Peers
from ssod.storage.records import ServerRecord

# How long a server that was told may take to answer, whether or not somebody still waits for that (seconds).
TELL_LIMIT = 10.0

Telling = dict[str, asyncio.Task[Noticed]]


class Notices:
    def __init__(
        self,
        node: Node,
        peers: Peers,
        enrolled: Callable[[], Mapping[str, ServerRecord]],
        keep: Callable[[Iterable[asyncio.Task[Any]]], None],
    ) -> None:
        """`enrolled` gives the servers that there are; `keep` lets a task go on that nobody waits for."""
        self._node = node
        self._peers = peers
        self._enrolled = enrolled
        self._keep = keep
        # What all were told last.
        self.last: Telling = {}

    def tell(self, names: Iterable[str]) -> Telling:
        """Also those hear of it whose answer nobody waits for."""
        state, enrolled = self._node.state, self._enrolled()
        telling = {
            name: asyncio.create_task(self._peers.notify(enrolled[name], state.server, state.epoch, TELL_LIMIT))
            for name in names
            if name != state.server and name in enrolled
        }
        self._keep(telling.values())
        return telling

    def tell_all(self) -> None:
        self.last = self.tell(self._enrolled())

    async def ask(self, names: Collection[str], patience: float) -> list[Noticed]:
        """What each of `names` answers within `patience` seconds."""
        return await self.answers(names, self.tell(names), patience)

    async def answers(self, names: Iterable[str], telling: Telling, patience: float) -> list[Noticed]:
        """What each of `names` answered to `telling` within `patience` seconds; this server's own word included."""
        node = self._node
        if telling:
            await asyncio.wait(telling.values(), timeout=patience)
        own = Noticed(
            node.state.server, True, node.attached, node.key_id, node.state.epoch, 0.0, None, node.held_key_ids, node.sealed_key_id
        )
        silent = f"told; no answer within {patience:g} s"
        return [
            own
            if name == node.state.server
            else telling[name].result()
            if telling[name].done()
            else Noticed(name, False, False, None, None, patience, silent)
            for name in names
            if name == node.state.server or name in telling
        ]
