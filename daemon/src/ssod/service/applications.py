"""Applications: what they keep, who may use them, and which fields their data has."""

from __future__ import annotations

import re

from ssod.core.access import RIGHTS, Caller, check_principal
from ssod.errors import ApplicationIncomplete, ApplicationNotFound, DataLoss, InvalidValue, VersionConflict
from ssod.service.application_plan import Plan, Wanted, deleted_with, missing, plan
from ssod.service.authority import Authority
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.applications import ApplicationRepository, refuse_while_in_use, removed_fields
from ssod.storage.records import Application, Stored, Uses

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

    async def put(
        self, call: Call, wanted: Wanted, if_version: int | None, *, accept_loss: bool, dry_run: bool
    ) -> tuple[Application, Plan]:
        """Creates or replaces; returns it with what that does. In a dry run, as it would be and with the version that is there.

        Raises InvalidValue, ApplicationIncomplete, VersionConflict; DataLoss for what destroys stored data without `accept_loss`.
        """
        before = await self._found(wanted.name)
        after = wanted.over(before)
        act = self._require_change(call.caller, before, after)
        version = before.version if before else 0
        if if_version is not None and if_version != version:
            raise VersionConflict(
                f"application {after.name} is at version {version}, and version {if_version} was expected",
                next_step="read it again and repeat the change",
            )
        self._check(after)
        stored = await self._endangered(before, after)
        told = plan(before, after, stored)
        if told.destroys and not accept_loss:
            raise DataLoss(
                f"stored data of application {after.name} would be lost by this change",
                next_step="keep it as it is, or say data_loss: accept",
                conditions=told.destroys,
            )
        if dry_run or not told.changes:
            return after, told
        self._audit.record(call, act, after.name)
        after = await self._offload(self._repository.put, after, version, stored)
        await self._authority.reload()
        return after, told

    async def _found(self, name: str) -> Application | None:
        try:
            return await self._offload(self._repository.find, name)
        except ApplicationNotFound:
            return None

    def _require_change(self, caller: Caller, before: Application | None, after: Application) -> str:
        """Raises Forbidden; the act that the change is. An application's administrators may change its users alone."""
        if before is None:
            self._authority.everywhere(caller, "change application")
            return "change application"
        act = "change application users" if before._replace(users=after.users) == after else "change application"
        self._authority.within(caller, act, before)
        return act

    @staticmethod
    def _check(application: Application) -> None:
        check_name("application", application.name)
        for principal in (*application.administrators, *application.users):
            check_principal(principal)
        names = [check_name("field", field.name) for field in application.fields]
        if len(names) != len(set(names)):
            raise InvalidValue(f"application {application.name} declares a field twice")
        lacking = missing(application)
        if application.enabled and lacking:
            raise ApplicationIncomplete(
                f"application {application.name} cannot be enabled yet",
                next_step="complete it, or leave it disabled",
                conditions=lacking,
            )

    async def _endangered(self, before: Application | None, after: Application) -> Stored:
        """What is stored, where the change may cost some of it; to count what is safe would cost the database much for nothing."""
        gone = removed_fields(before, after) if before else []
        if before is None or (before.type == after.type and not gone):
            return Stored(Uses(0, 0, 0), {})
        return await self._offload(self._repository.stored, after.name, gone)

    async def delete(self, call: Call, name: str, *, with_data: bool, dry_run: bool) -> list[str]:
        """Returns what goes with it, as sentences. Raises ApplicationInUse for what has data, without `with_data`."""
        self._authority.within(call.caller, "change application", await self._offload(self._repository.find, name))
        uses = (await self._offload(self._repository.stored, name)).all
        if not with_data:
            refuse_while_in_use(name, uses)
        if not dry_run:
            self._audit.record(call, "delete application", name)
            await self._offload(self._repository.delete, name, with_data=with_data)
            await self._authority.reload()
        return deleted_with(uses)
