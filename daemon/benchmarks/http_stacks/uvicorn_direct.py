"""Candidate (a'): the protocol of (a) with two hooks of its own, to see what is left to cut. It skips ASGI's
messages: the handler starts when the body is whole, and head and body leave in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from payload import HANDLERS
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn_protocol import PeerProtocol, connections

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class DirectProtocol(PeerProtocol):
    """Starts a request at its last byte, and answers it without ``receive`` and ``send``."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # Not yet: at this point only the headers are here (a pipelined request is already whole).
        if not cycle.more_body:
            self._begin(cycle)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if not self.pipeline:
            self._begin(self.cycle)

    def _begin(self, cycle: RequestResponseCycle) -> None:
        task = self.loop.create_task(self._answer(cycle))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _answer(self, cycle: RequestResponseCycle) -> None:
        answer = HANDLERS[cycle.scope["path"]](self.peer, bytes(cycle.body))
        self.transport.write(_HEAD % len(answer) + answer)
        cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


async def _unused(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("uvicorn wants an application, and this protocol answers without it")


def build() -> Callable[[], asyncio.Protocol]:
    return connections(_unused, DirectProtocol)
