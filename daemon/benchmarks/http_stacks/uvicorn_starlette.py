"""Candidate (b): the same protocol under Starlette's routing, request and response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from payload import HANDLERS
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn_protocol import connections


async def endpoint(request: Request) -> Response:
    answer = HANDLERS[request.scope["path"]](request.scope["peer"], await request.body())
    return Response(answer, media_type="application/json")


def build() -> Callable[[], asyncio.Protocol]:
    return connections(Starlette(routes=[Route(path, endpoint, methods=["POST"]) for path in HANDLERS]))
