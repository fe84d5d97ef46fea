"""Routes for the credentials of systemd units: which value each is given. The values go another way (transport/credentials.py)."""

from __future__ import annotations

from ssod.errors import ApplicationNotFound, InvalidValue, UnitCredentialNotFound, UnitCredentialTaken, VersionConflict
from ssod.service.units import UnitCredentials
from ssod.storage.records import UnitCredential
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import DRY_RUN, Description


class UnitRoutes:
    def __init__(self, units: UnitCredentials) -> None:
        self._units = units
        self._body = body_as(d.UnitCredentialBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/applications/{application}/unit-credentials",
                self.list_all,
                Description(
                    "List which value a systemd unit is given under which name",
                    "list configuration",
                    a.UnitCredentials,
                    problems=(ApplicationNotFound,),
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}/unit-credentials/{unit}/{credential}",
                self.show,
                Description(
                    "Show which value a systemd unit is given",
                    "list configuration",
                    a.UnitCredential,
                    problems=(ApplicationNotFound, UnitCredentialNotFound),
                ),
            ),
            Route(
                "PUT",
                "/v1/applications/{application}/unit-credentials/{unit}/{credential}",
                self.put,
                Description(
                    "Give a systemd unit a value",
                    "manage unit credentials",
                    a.UnitCredentialWritten,
                    d.UnitCredentialBody,
                    query=(DRY_RUN,),
                    problems=(ApplicationNotFound, UnitCredentialTaken, VersionConflict, InvalidValue),
                ),
            ),
            Route(
                "DELETE",
                "/v1/applications/{application}/unit-credentials/{unit}/{credential}",
                self.delete,
                Description(
                    "Give a systemd unit a value no more",
                    "manage unit credentials",
                    a.UnitCredential,
                    query=(DRY_RUN,),
                    problems=(ApplicationNotFound, UnitCredentialNotFound),
                ),
            ),
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
