"""SSO as a whole can be disabled: then no server gives anybody anything, and administration goes on."""

from __future__ import annotations

from datetime import datetime

from ssod.service.authority import Authority
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call, Clock
from ssod.storage.standing import StandingRepository


class Sso:
    def __init__(self, repository: StandingRepository, authority: Authority, audit: Audit, offload: Offload, clock: Clock) -> None:
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._clock = clock

    async def disabled_at(self) -> datetime | None:
        """Since when SSO is disabled: everybody may know why he is refused."""
        await self._authority.reload()
        return self._authority.disabled_at

    async def put(self, call: Call, *, enabled: bool) -> datetime | None:
        """Enables or disables it; what is so already is left as it is."""
        self._authority.everywhere(call.caller, "enable SSO")
        self._audit.record(call, "enable SSO" if enabled else "disable SSO", "")
        moment = await self._offload(self._repository.put_disabled, None if enabled else self._clock.now().utc)
        await self._authority.reload()
        return moment
