"""Routes for the environment-wide roles, and for SSO as a whole."""

from __future__ import annotations

from datetime import datetime

from ssod.service.roles import Roles
from ssod.service.sso import Sso
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer, body_as
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
            Route("GET", "/v1/roles", self.list_roles),
            Route("PUT", "/v1/roles/*", self.put_role),
            Route("GET", "/v1/sso", self.show_sso),
            Route("PUT", "/v1/sso", self.put_sso),
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
