"""Candidate (a): uvicorn's httptools protocol and a plain ASGI function."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from payload import HANDLERS
from uvicorn_protocol import connections


async def application(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    body = message["body"]
    while message.get("more_body", False):
        message = await receive()
        body += message.get("body", b"")
    answer = HANDLERS[scope["path"]](scope["peer"], body)
    length = b"%d" % len(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def build() -> Callable[[], asyncio.Protocol]:
    return connections(application)
