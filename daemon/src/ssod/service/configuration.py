"""Configurations of an application: a named bag of properties, each value encrypted for the place where it lives.

What this server has read before goes on being served from a bounded copy of the envelopes when the database is lost.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple

from ssod.core.envelope import Place
from ssod.core.keyring import Keyring, Random
from ssod.errors import ConfigNotFound, DatabaseUnavailable, InvalidValue, VersionConflict
from ssod.service.applications import check_name
from ssod.service.authority import Authority
from ssod.service.encryption import Encryption
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application, ConfigEntry, ConfigRecord

CACHED_CONFIGURATIONS = 2000


class Changes(NamedTuple):
    """Names of fields, never values."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return any((self.added, self.changed, self.removed))


class Configuration(NamedTuple):
    """`properties` has the values that the caller asked for; `masked` names the masked fields that are set.

    `cached_at` is when the values were read, if the database cannot be reached now.
    """

    record: ConfigRecord
    properties: dict[str, str]
    masked: list[str]
    key_id: str
    cached_at: datetime | None


def _place(application: str, name: str, field: str) -> Place:
    return Place(application, "config", name, field)


class Configurations:
    def __init__(
        self,
        node: Node,
        repository: ApplicationRepository,
        authority: Authority,
        encryption: Encryption,
        audit: Audit,
        offload: Offload,
        random: Random,
    ) -> None:
        self._node = node
        self._repository = repository
        self._authority = authority
        self._encryption = encryption
        self._audit = audit
        self._offload = offload
        self._random = random
        self._cache: OrderedDict[tuple[str, str], tuple[ConfigRecord, datetime]] = OrderedDict()

    async def names(self, call: Call, application_name: str) -> list[ConfigEntry]:
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "list configuration", application)
        return await self._offload(self._repository.configs, application.name)

    async def _read(self, application: str, name: str) -> tuple[ConfigRecord, datetime | None]:
        """The stored envelopes; the copy of them, with its age, when the database is lost."""
        key = (application, name)
        if self._node.state.database_lost is not None and key in self._cache:
            return self._cache[key]
        try:
            record = await self._offload(self._repository.config, application, name)
        except DatabaseUnavailable:
            if key not in self._cache:
                raise
            return self._cache[key]
        except ConfigNotFound:
            self._cache.pop(key, None)
            raise
        self._cache[key] = (record, self._node.clock.now().utc)
        self._cache.move_to_end(key)
        while len(self._cache) > CACHED_CONFIGURATIONS:
            self._cache.popitem(last=False)
        return record, None

    async def get(self, call: Call, application_name: str, name: str, *, reveal: bool) -> Configuration:
        """Masked values are left out unless `reveal`, which is audited as a disclosure."""
        application = await self._authority.find(application_name)
        act = "reveal configuration" if reveal else "read configuration"
        self._authority.within(call.caller, act, application)
        if reveal:
            self._authority.enabled(application)
        self._authority.sso_enabled()
        record, cached_at = await self._read(application.name, name)
        keyring = self._node.for_decryption()
        # A stored field that is not declared any more is shown to nobody who does not ask for it, whatever it was.
        shown = {field.name for field in application.fields if not field.masked}
        key_ids = sorted({envelope[1:17].hex() for envelope in record.envelopes.values()})
        self._audit.record(call, act, f"{application.name}/{name}", ",".join(key_ids))
        properties = {
            field: keyring.open(_place(application.name, name, field), envelope).decode()
            for field, envelope in sorted(record.envelopes.items())
            if reveal or field in shown
        }
        masked = sorted(record.envelopes.keys() - shown)
        return Configuration(record, properties, masked, ",".join(key_ids), cached_at)

    async def value(self, call: Call, act: str, application_name: str, name: str, field: str) -> bytes:
        """One value, for a caller whose right to it is known already; audited as `act`. Raises ConfigNotFound."""
        application = await self._authority.find(application_name)
        self._authority.enabled(application)
        record, _ = await self._read(application.name, name)
        envelope = record.envelopes.get(field)
        if envelope is None:
            raise ConfigNotFound(f"configuration {application.name}/{name} has no value for {field}", next_step="give it one")
        keyring = self._node.for_decryption()
        self._audit.record(call, act, f"{application.name}/{name}/{field}", envelope[1:17].hex())
        return keyring.open(_place(application.name, name, field), envelope)

    async def put(
        self,
        call: Call,
        application_name: str,
        name: str,
        properties: dict[str, str],
        if_version: int | None,
        *,
        dry_run: bool,
    ) -> tuple[int, Changes]:
        """Replaces the bag; an equal one is left as it is. Returns the version and the names of what changed."""
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "change configuration", application)
        check_name("configuration", name)
        self._check_fields(application, properties)
        before = await self._stored(application.name, name)
        found = before.version if before else 0
        if if_version is not None and if_version != found:
            raise VersionConflict(
                f"configuration {application.name}/{name} is at version {found}, and version {if_version} was expected",
                next_step="read it again and repeat the change",
            )
        changes = self._compare(application.name, name, before, properties)
        if dry_run or (before is not None and not changes):
            return found, changes
        keyring = await self._encryption.keyring_for_encryption()
        self._audit.record(call, "change configuration", f"{application.name}/{name}", keyring.current.id.hex())
        record = ConfigRecord(
            application.name,
            name,
            found,
            self._node.clock.now().utc,
            self._seal(keyring, application.name, name, properties),
        )
        version = await self._offload(self._repository.put_config, record, keyring.current.id, found)
        self._cache.pop((application.name, name), None)
        return version, changes

    async def delete(self, call: Call, application_name: str, name: str, *, dry_run: bool) -> int:
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "change configuration", application)
        if dry_run:
            return (await self._offload(self._repository.config, application.name, name)).version
        self._audit.record(call, "delete configuration", f"{application.name}/{name}")
        version = await self._offload(self._repository.delete_config, application.name, name)
        self._cache.pop((application.name, name), None)
        return version

    async def _stored(self, application: str, name: str) -> ConfigRecord | None:
        try:
            return await self._offload(self._repository.config, application, name)
        except ConfigNotFound:
            return None

    @staticmethod
    def _check_fields(application: Application, properties: dict[str, str]) -> None:
        unknown = sorted(set(properties) - {field.name for field in application.fields})
        if unknown:
            raise InvalidValue(
                f"application {application.name} has no field {', '.join(unknown)}",
                next_step="declare the field in the application first",
            )

    def _seal(self, keyring: Keyring, application: str, name: str, properties: dict[str, str]) -> dict[str, bytes]:
        return {
            field: keyring.seal(_place(application, name, field), value.encode(), self._random)
            for field, value in properties.items()
        }

    def _compare(self, application: str, name: str, before: ConfigRecord | None, wanted: dict[str, str]) -> Changes:
        stored = before.envelopes if before else {}
        changed = []
        if stored:
            keyring = self._node.for_decryption()
            changed = [
                field
                for field in stored.keys() & wanted.keys()
                if keyring.open(_place(application, name, field), stored[field]) != wanted[field].encode()
            ]
        return Changes(sorted(wanted.keys() - stored.keys()), sorted(changed), sorted(stored.keys() - wanted.keys()))
