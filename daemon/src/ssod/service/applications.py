"""Applications: who may use them, and which fields their configurations have."""

from __future__ import annotations

import re

from ssod.core.access import RIGHTS, check_principal, require
from ssod.errors import InvalidValue
from ssod.service.authority import Authority
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application

NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")


def check_name(what: str, name: str) -> str:
    if not NAME.fullmatch(name):
        raise InvalidValue(f"{what} {name!r} is not allowed", next_step="use 1 to 128 letters, digits, and . _ - inside")
    return name


class Applications:
    def __init__(self, repository: ApplicationRepository, authority: Authority, audit: Audit, offload: Offload) -> None:
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload

    async def visible(self, call: Call) -> list[Application]:
        """Those that the caller has a role in."""
        await self._authority.reload()
        found = await self._offload(self._repository.all)
        return [a for a in found if self._authority.held(call.caller, a) & RIGHTS["read application"]]

    async def show(self, call: Call, name: str) -> Application:
        application = await self._offload(self._repository.find, name)
        self._authority.within(call.caller, "read application", application)
        return application

    async def put(self, call: Call, wanted: Application, if_version: int | None) -> Application:
        """Creates or replaces. Raises InvalidValue, VersionConflict."""
        self._authority.everywhere(call.caller, "change application")
        check_name("application", wanted.name)
        for principal in (*wanted.administrators, *wanted.users):
            check_principal(principal)
        names = [check_name("field", field.name) for field in wanted.fields]
        if len(names) != len(set(names)):
            raise InvalidValue(f"application {wanted.name} declares a field twice")
        self._audit.record(call, "change application", wanted.name)
        stored = await self._offload(self._repository.put, wanted, if_version)
        await self._authority.reload()
        return stored

    async def delete(self, call: Call, name: str, *, with_config: bool) -> None:
        require("change application", call.caller, self._authority.held(call.caller, await self.show(call, name)), name)
        self._audit.record(call, "delete application", name)
        await self._offload(self._repository.delete, name, with_config=with_config)
        await self._authority.reload()
