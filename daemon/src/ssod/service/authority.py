"""Who the callers are in an application, from a copy of all applications that outlives the database."""

from __future__ import annotations

import asyncio

from ssod.core.access import Caller, Grants, Role, require, roles
from ssod.errors import ApplicationDisabled, ApplicationNotFound, DatabaseUnavailable
from ssod.service.offload import Offload
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application

# Seconds between two reloads that unknown names cause.
MISS_PAUSE = 0.2


class Authority:
    def __init__(self, repository: ApplicationRepository, offload: Offload, grants: Grants) -> None:
        self._repository = repository
        self._offload = offload
        self.grants = grants
        self._known: dict[str, Application] | None = None
        self._missed = float("-inf")

    async def reload(self) -> None:
        """Raises DatabaseUnavailable, and keeps what is known."""
        self._known = {application.name: application for application in await self._offload(self._repository.all)}

    def known(self, name: str) -> Application | None:
        return self._known.get(name) if self._known is not None else None

    async def find(self, name: str) -> Application:
        """Raises ApplicationNotFound, or DatabaseUnavailable when it cannot be known."""
        known = self.known(name)
        if known is not None:
            return known
        # Names that nobody knows must not keep the database busy.
        now = asyncio.get_running_loop().time()
        if self._known is None or now - self._missed >= MISS_PAUSE:
            self._missed = now
            try:
                await self.reload()
            except DatabaseUnavailable:
                if self._known is None:
                    raise
        known = self.known(name)
        if known is None:
            raise ApplicationNotFound(f"there is no application {name!r}", next_step="list them with `ssoctl application list`")
        return known

    def everywhere(self, caller: Caller, act: str) -> None:
        """Raises Forbidden unless an environment-wide role of the caller may act."""
        require(act, caller, roles(caller, self.grants))

    def held(self, caller: Caller, application: Application) -> frozenset[Role]:
        return roles(caller, self.grants, application.administrators, application.users)

    def within(self, caller: Caller, act: str, application: Application) -> None:
        """Raises Forbidden unless the caller may act in the application."""
        require(act, caller, self.held(caller, application), f"application {application.name}")

    @staticmethod
    def enabled(application: Application) -> None:
        if not application.enabled:
            raise ApplicationDisabled(f"application {application.name} is disabled", next_step="enable the application")
