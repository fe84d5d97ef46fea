"""Looks up the credentials that are a caller's own: nobody is given another's, whatever role he has."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from ssod.core.access import Caller
from ssod.core.mappings import keeps_mappings, looked_up
from ssod.errors import InvalidValue, MappingDisabled, MappingNotFound, NoCredentials
from ssod.service.authority import Authority
from ssod.service.cache import Cache
from ssod.service.feed import Feed
from ssod.service.mappings import key_ids_text, place_of
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.mappings import MappingRepository
from ssod.storage.records import Application, Mapping, SealedMapping

CACHED_CREDENTIALS = 20_000
CACHED_BYTES = 32 << 20


class Disclosed(NamedTuple):
    """`cached_at` is until when the values were known to be what the database holds, if it cannot be reached now."""

    application: str
    principal: str
    external_id: str
    credentials: dict[str, str]
    key_id: str
    cached_at: datetime | None


class Credentials:
    def __init__(
        self, node: Node, repository: MappingRepository, authority: Authority, audit: Audit, offload: Offload, feed: Feed
    ) -> None:
        self._node = node
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._cache: Cache[SealedMapping] = Cache(
            "mapping",
            feed,
            node.clock,
            lambda: node.state.database_lost is not None,
            lambda found: sum(map(len, found.envelopes.values())),
            count=CACHED_CREDENTIALS,
            room=CACHED_BYTES,
        )

    async def look_up(self, call: Call, application_name: str) -> Disclosed:
        """The caller's own. Raises MappingNotFound, MappingDisabled, NoCredentials."""
        application = await self._authority.find(application_name)
        self.check(call.caller, application)
        found, cached_at = await self.find(application, call.caller, self._node.state.server)
        self.record(call, "look up credentials", application, found)
        return self.open(application, found, cached_at)

    def check(self, caller: Caller, application: Application) -> None:
        """Raises unless the caller may have credentials in the application, and it has any."""
        self._authority.within(caller, "look up own credentials", application)
        self._authority.enabled(application)
        if not keeps_mappings(application.type):
            raise InvalidValue(
                f"application {application.name} is of type {application.type}, which keeps no credentials",
                next_step=f"read a configuration: `ssoctl config get {application.name} NAME`",
            )

    async def find(self, application: Application, caller: Caller, server: str) -> tuple[SealedMapping, datetime | None]:
        """The mapping that is the caller's, and until when it is known to be if that is not now; `server`: where he came in."""
        principals = looked_up(application.type, caller, server)

        async def load() -> SealedMapping:
            found = await self._offload(self._repository.first, application.name, principals)
            if found is None:
                raise MappingNotFound(
                    f"application {application.name} has no mapping for {caller.name}",
                    next_step="ask an administrator of the application for one",
                )
            return found

        if application.flags.credential_cache:
            found, cached_at = await self._cache.read((application.name, tuple(sorted(principals))), load)
        else:
            found, cached_at = await load(), None
        _check_usable(application, found.mapping)
        return found, cached_at

    def record(self, call: Call, act: str, application: Application, found: SealedMapping) -> None:
        self._audit.record(call, act, f"{application.name}/{found.mapping.principal}", key_ids_text(found.mapping))

    def open(self, application: Application, found: SealedMapping, cached_at: datetime | None) -> Disclosed:
        keyring = self._node.for_decryption()
        mapping = found.mapping
        credentials = {
            field: keyring.open(place_of(application.name, mapping.principal, field), envelope).decode()
            for field, envelope in sorted(found.envelopes.items())
        }
        return Disclosed(application.name, mapping.principal, mapping.external_id, credentials, key_ids_text(mapping), cached_at)


def _check_usable(application: Application, mapping: Mapping) -> None:
    # The first match is the one that counts: disabling it must not give its people the next one's account.
    if not mapping.enabled:
        by = [
            who
            for who, disabled in (
                ("its user", mapping.disabled_by_user),
                ("an administrator", mapping.disabled_by_administrator),
            )
            if disabled
        ]
        raise MappingDisabled(
            f"the mapping of {mapping.principal} in application {application.name} is disabled by {' and by '.join(by)}",
            next_step="whoever disabled it can enable it",
        )
    if not mapping.key_ids and application.fields:
        raise NoCredentials(
            f"the mapping of {mapping.principal} in application {application.name} has no credentials",
            next_step="set them: its user, or an administrator of the application",
        )
