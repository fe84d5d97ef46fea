"""The environment-wide roles: who has them by the database, and who by this server's own configuration file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ssod.core.access import ENVIRONMENT_ROLES, Caller, Grants, Role, check_principal, roles
from ssod.errors import RoleNotFound, WouldLockOut
from ssod.service.authority import Authority
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.standing import StandingRepository


class RoleMembers(NamedTuple):
    """`members` count on every server; `configured` are those of this server's file, and count here."""

    role: str
    members: list[str]
    configured: list[str]


class MemberChanges(NamedTuple):
    added: list[str]
    removed: list[str]


class Roles:
    def __init__(self, repository: StandingRepository, authority: Authority, audit: Audit, offload: Offload) -> None:
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload

    async def all(self, call: Call) -> list[RoleMembers]:
        self._authority.everywhere(call.caller, "read roles")
        await self._authority.reload()
        stored = self._authority.stored.members()
        return [self._shown(role, stored[role]) for role in ENVIRONMENT_ROLES]

    async def put(self, call: Call, role: str, principals: Sequence[str], *, dry_run: bool) -> tuple[RoleMembers, MemberChanges]:
        """Replaces the members. Raises InvalidValue, RoleNotFound; WouldLockOut when the caller could not undo it."""
        self._authority.everywhere(call.caller, "manage roles")
        if role not in ENVIRONMENT_ROLES:
            raise RoleNotFound(f"there is no role {role!r}", next_step=f"name one of {', '.join(ENVIRONMENT_ROLES)}")
        wanted = frozenset(map(check_principal, principals))
        await self._authority.reload()
        stored = self._authority.stored.members()
        self._refuse_to_lock_out(call.caller, Grants.of(stored | {role: wanted}))
        before = stored[role]
        if wanted != before and not dry_run:
            self._audit.record(call, "manage roles", role)
            before = await self._offload(self._repository.put_members, role, wanted)
            await self._authority.reload()
        return self._shown(role, wanted), MemberChanges(sorted(wanted - before), sorted(before - wanted))

    def _refuse_to_lock_out(self, caller: Caller, stored: Grants) -> None:
        if Role.SSO_ADMINISTRATOR not in roles(caller, stored | self._authority.configured):
            raise WouldLockOut(
                f"{caller.name} would not be an SSO administrator any more, and could not undo this",
                next_step="leave a principal of your own among them, or let another SSO administrator do it",
            )

    def _shown(self, role: str, members: frozenset[str]) -> RoleMembers:
        return RoleMembers(role, sorted(members), sorted(self._authority.configured.members()[role]))
