"""Routes for the credentials of systemd units: which value each is given. The values go another way (transport/credentials.py)."""

from __future__ import annotations

from ssod.service.units import UnitCredentials
from ssod.storage.records import UnitCredential
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer, body_as


class UnitRoutes:
    def __init__(self, units: UnitCredentials) -> None:
        self._units = units
        self._body = body_as(d.UnitCredentialBody)

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/v1/applications/*/unit-credentials", self.list_all),
            Route("GET", "/v1/applications/*/unit-credentials/*/*", self.show),
            Route("PUT", "/v1/applications/*/unit-credentials/*/*", self.put),
            Route("DELETE", "/v1/applications/*/unit-credentials/*/*", self.delete),
        ]

    async def list_all(self, request: Request) -> Response:
        found = await self._units.all(request.call, request.path[0])
        return answer({"unit_credentials": [each._asdict() for each in found]})

    async def show(self, request: Request) -> Response:
        return answer((await self._units.show(request.call, *request.path))._asdict())

    async def put(self, request: Request) -> Response:
        application, unit, credential = request.path
        body = self._body(request.body)
        wanted = UnitCredential(unit, credential, application, body.config, body.field)
        changed = await self._units.put(request.call, wanted, dry_run=request.flag("dry_run"))
        return answer(wanted._asdict() | {"changed": changed})

    async def delete(self, request: Request) -> Response:
        return answer((await self._units.delete(request.call, *request.path, dry_run=request.flag("dry_run")))._asdict())
