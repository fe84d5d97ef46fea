"""Routes for the environment-wide roles, and for SSO as a whole."""

from __future__ import annotations

from datetime import datetime

from ssod.errors import DatabaseUnavailable, InvalidValue, RoleNotFound, VersionConflict, WouldLockOut
from ssod.service.roles import Roles
from ssod.service.sso import Sso
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import ANYBODY, DRY_RUN, Description
from ssod.transport.routes.shapes import time_text


class RoleRoutes:
    """The environment-wide roles, and SSO as a whole."""

    def __init__(self, roles: Roles, sso: Sso) -> None:
        self._roles = roles
        self._sso = sso
        self._role_body = body_as(d.RoleBody)
        self._sso_body = body_as(d.SsoBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/roles",
                self.list_roles,
                Description("List the environment-wide roles and who has them", "read roles", a.Roles),
            ),
            Route(
                "PUT",
                "/v1/roles/{role}",
                self.put_role,
                Description(
                    "Say who has a role on every server",
                    "manage roles",
                    a.RoleWritten,
                    d.RoleBody,
                    query=(DRY_RUN,),
                    problems=(RoleNotFound, WouldLockOut, VersionConflict, InvalidValue),
                ),
            ),
            Route(
                "GET",
                "/v1/sso",
                self.show_sso,
                Description("Whether SSO is enabled in the environment", ANYBODY, a.Sso, problems=(DatabaseUnavailable,)),
            ),
            Route(
                "PUT",
                "/v1/sso",
                self.put_sso,
                Description("Enable or disable SSO on every server at once", "enable SSO", a.Sso, d.SsoBody),
            ),
        ]

    async def list_roles(self, request: Request) -> Response:
        return answer({"roles": [each._asdict() for each in await self._roles.all(request.call)]})

    async def put_role(self, request: Request) -> Response:
        body = self._role_body(request.body)
        role, changes = await self._roles.put(request.call, request.path[0], body.members, dry_run=request.flag("dry_run"))
        return answer(role._asdict() | {"changes": changes._asdict()})

    async def show_sso(self, _request: Request) -> Response:
        return self._answer(await self._sso.disabled_at())

    async def put_sso(self, request: Request) -> Response:
        return self._answer(await self._sso.put(request.call, enabled=self._sso_body(request.body).enabled))

    @staticmethod
    def _answer(disabled_at: datetime | None) -> Response:
        return answer({"enabled": disabled_at is None, "disabled_at": time_text(disabled_at)})
