"""The route that answers with the description of all routes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from ssod import __version__
from ssod.transport.app import Request, Response, Route
from ssod.transport.description import ANYBODY, Description
from ssod.transport.openapi import document


class DescriptionRoutes:
    """The OpenAPI document of the given routes, and of its own."""

    def __init__(self, routes: list[Route]) -> None:
        self._described = routes

    def routes(self) -> list[Route]:
        about = Description("This description of the API", ANYBODY, dict[str, Any])
        return [Route("GET", "/v1/openapi.json", self.openapi, about)]

    @cached_property
    def _document(self) -> bytes:
        return msgspec.json.encode(document([*self._described, *self.routes()], __version__))

    def openapi(self, _request: Request) -> Response:
        return Response(self._document)
