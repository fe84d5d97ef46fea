"""Credentials of systemd units: which value a unit is given under which name, and the value itself when the unit starts.

A grant that this server has used before is remembered for when the database is lost.
"""

from __future__ import annotations

import re

from ssod.core.units import UNIT, template_of
from ssod.errors import Forbidden, InvalidValue, UnitCredentialNotFound
from ssod.service.applications import check_name
from ssod.service.authority import Authority
from ssod.service.cache import Cache
from ssod.service.configuration import Configurations
from ssod.service.feed import Feed
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.records import ApplicationType, UnitCredential
from ssod.storage.units import UnitCredentialRepository

REMEMBERED_GRANTS = 2000
GRANT_BYTES = 1000

CREDENTIAL = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.-]+")
# Of both names together: systemd puts them into the address of its end of the socket, which has no space for more (bytes).
LONGEST = 83


def check_names(unit: str, credential: str) -> None:
    """Raises InvalidValue for names that systemd does not know, or could not ask by."""
    if not UNIT.fullmatch(unit):
        raise InvalidValue(
            f"{unit!r} is no unit that starts processes",
            next_step="write its whole name: job.service, or job@.service for a template",
        )
    if not CREDENTIAL.fullmatch(credential):
        raise InvalidValue(f"credential {credential!r} is not allowed", next_step="use letters, digits, and . _ -")
    if len(unit) + len(credential) > LONGEST:
        raise InvalidValue(
            f"{unit} and {credential} have {len(unit) + len(credential)} characters together, and systemd can ask with {LONGEST}",
            next_step="choose a shorter name for the credential",
        )


class UnitCredentials:
    def __init__(
        self,
        node: Node,
        repository: UnitCredentialRepository,
        authority: Authority,
        configurations: Configurations,
        audit: Audit,
        offload: Offload,
        feed: Feed,
    ) -> None:
        self._node = node
        self._repository = repository
        self._authority = authority
        self._configurations = configurations
        self._audit = audit
        self._offload = offload
        self._used: Cache[UnitCredential] = Cache(
            "unit-credential",
            feed,
            node.clock,
            lambda: node.state.database_lost is not None,
            lambda _: GRANT_BYTES,
            count=REMEMBERED_GRANTS,
            room=REMEMBERED_GRANTS * 2 * GRANT_BYTES,
        )

    async def all(self, call: Call, application_name: str) -> list[UnitCredential]:
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "list configuration", application)
        return await self._offload(self._repository.of, application.name)

    async def show(self, call: Call, application_name: str, unit: str, credential: str) -> UnitCredential:
        for granted in await self.all(call, application_name):
            if (granted.unit, granted.credential) == (unit, credential):
                return granted
        raise UnitCredentialNotFound(f"application {application_name} gives unit {unit} no credential {credential}")

    async def put(self, call: Call, wanted: UnitCredential, *, dry_run: bool) -> bool:
        """Says whether it changes anything. The configuration itself may come later; the field must be declared."""
        application = await self._authority.find(wanted.application)
        self._authority.within(call.caller, "manage unit credentials", application)
        check_names(wanted.unit, wanted.credential)
        check_name("configuration", wanted.config)
        if application.type is not ApplicationType.CONFIG_STORE:
            raise InvalidValue(
                f"application {application.name} is of the type {application.type} and keeps no configuration",
                next_step="give units values of an application of the type config_store",
            )
        if wanted.field not in {field.name for field in application.fields}:
            raise InvalidValue(
                f"application {application.name} has no field {wanted.field}",
                next_step="declare the field in the application first",
            )
        if not dry_run:
            self._audit.record(call, "change unit credential", self._subject(wanted))
        return await self._offload(self._repository.put, wanted, dry_run=dry_run)

    async def delete(self, call: Call, application_name: str, unit: str, credential: str, *, dry_run: bool) -> UnitCredential:
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "manage unit credentials", application)
        if not dry_run:
            self._audit.record(call, "delete unit credential", f"{application.name}: {credential} of {unit}")
        return await self._offload(self._repository.delete, application.name, unit, credential, dry_run=dry_run)

    async def give(self, call: Call, unit: str, credential: str) -> bytes:
        """The value that `unit` is granted under this name. The unit is the caller; it needs no role beside the grant.

        Raises Forbidden without a grant, and whatever stands in the way of the value.
        """
        try:
            granted = await self._granted(unit, credential)
        except UnitCredentialNotFound as refusal:
            raise Forbidden(
                refusal.detail,
                next_step=f"ssoctl unit-credential set APP {unit} {credential} NAME FIELD",
                act="load unit credential",
                subject=credential,
            ) from None
        return await self._configurations.value(call, "load unit credential", granted.application, granted.config, granted.field)

    async def _granted(self, unit: str, credential: str) -> UnitCredential:
        """As the database has it now; as it was when it was last asked for, when the database is lost."""
        template = template_of(unit)
        units = [unit, template] if template else [unit]
        key = ("", tuple(f"{each}/{credential}" for each in units))
        granted, _ = await self._used.read(key, lambda: self._offload(self._repository.find, units, credential))
        return granted

    @staticmethod
    def _subject(granted: UnitCredential) -> str:
        return f"{granted.application}/{granted.config}/{granted.field}: {granted.credential} of {granted.unit}"
