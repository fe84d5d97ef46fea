"""Configurations of an application: a named bag of properties, each value encrypted for the place where it lives.

What this server has read before is served from a bounded copy of the envelopes: at once while it is known to be what the database
holds, and with its age when the database is lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

from ssod.core.envelope import Place
from ssod.core.keyring import Keyring, Random
from ssod.errors import ConfigNotFound, InvalidValue, VersionConflict
from ssod.service.applications import check_name
from ssod.service.authority import Authority
from ssod.service.cache import Cache
from ssod.service.ciphertexts import Ciphertexts
from ssod.service.encryption import Encryption
from ssod.service.feed import Feed
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application, ConfigEntry, ConfigRecord

CACHED_CONFIGURATIONS = 2000
CACHED_BYTES = 32 << 20


class Changes(NamedTuple):
    """Names of fields, never values."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        return any((self.added, self.changed, self.removed))


class Configuration(NamedTuple):
    """`properties` has the values that the caller asked for; `masked` names the masked fields that are set.

    `cached_at` is until when they were known to be what the database holds, if it cannot be reached now.
    """

    record: ConfigRecord
    properties: dict[str, str]
    masked: list[str]
    key_id: str
    cached_at: datetime | None


class Answer(NamedTuple):
    """`body` is None where the caller has it already."""

    etag: str
    body: bytes | None


class _Sealed(NamedTuple):
    """A whole answer, sealed again under the current secret. Right for as long as these are the application and the keyring."""

    application: Application
    keyring: Keyring
    etag: str
    key_id: str
    body: bytes


class _Kept(NamedTuple):
    """A stored configuration, and the answers made of it by `reveal`: to give one once more is one AEAD operation."""

    record: ConfigRecord
    answers: dict[bool, _Sealed]

    def size(self) -> int:
        return sum(map(len, self.record.envelopes.values()))


def place_of(application: str, name: str, field: str) -> Place:
    return Place(application, "config", name, field)


def _key_ids_text(envelopes: Mapping[str, bytes]) -> str:
    return ",".join(sorted({envelope[1:17].hex() for envelope in envelopes.values()}))


def _answer_place(application: str, name: str, *, reveal: bool) -> Place:
    return Place(application, "answer", name, "revealed" if reveal else "masked")


def _masked(application: Application, record: ConfigRecord) -> list[str]:
    # A stored field that is not declared any more is shown to nobody who does not ask for it, whatever it was.
    return sorted(record.envelopes.keys() - {field.name for field in application.fields if not field.masked})


def _etag(application: Application, record: ConfigRecord, *, reveal: bool) -> str:
    """Of what an answer shows. Of names and versions alone: a digest of values would be something to try guesses on."""
    names = hashlib.sha256("\n".join(_masked(application, record)).encode()).hexdigest()[:12]
    # A configuration that is deleted and made again begins with version 1 again, and at another time.
    written = int(record.updated_at.timestamp() * 1_000_000)
    return f'"{record.version}-{written:x}-{names}-{"revealed" if reveal else "masked"}"'


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
        feed: Feed,
    ) -> None:
        self._node = node
        self._repository = repository
        self._authority = authority
        self._encryption = encryption
        self._audit = audit
        self._offload = offload
        self._random = random
        self._cache: Cache[_Kept] = Cache(
            "config",
            feed,
            node.clock,
            lambda: node.state.database_lost is not None,
            _Kept.size,
            count=CACHED_CONFIGURATIONS,
            room=CACHED_BYTES,
        )

    async def names(self, call: Call, application_name: str) -> list[ConfigEntry]:
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "list configuration", application)
        return await self._offload(self._repository.configs, application.name)

    async def _read(self, application: str, name: str) -> tuple[_Kept, datetime | None]:
        async def load() -> _Kept:
            return _Kept(await self._offload(self._repository.config, application, name), {})

        return await self._cache.read((application, (name,)), load)

    def _allow(self, call: Call, application: Application, *, reveal: bool) -> str:
        """The act. Raises Forbidden, ApplicationDisabled."""
        act = "reveal configuration" if reveal else "read configuration"
        self._authority.within(call.caller, act, application)
        if reveal:
            self._authority.enabled(application)
        self._authority.sso_enabled()
        return act

    def at_hand(self, call: Call, application_name: str, name: str, known: Collection[str], *, reveal: bool) -> Answer | None:
        """As `answer`, where that needs neither the database nor more than one AEAD operation; else None, and nothing was done."""
        application = self._authority.known(application_name)
        if application is None:
            return None
        act = self._allow(call, application, reveal=reveal)
        kept = self._cache.exact((application_name, (name,)))
        sealed = kept.answers.get(reveal) if kept is not None else None
        if sealed is None or sealed.application is not application:
            return None
        keyring = self._node.for_decryption()
        if sealed.keyring is not keyring:
            return None
        if sealed.etag in known:
            return Answer(sealed.etag, None)
        self._audit.record(call, act, f"{application_name}/{name}", sealed.key_id)
        return Answer(sealed.etag, keyring.open(_answer_place(application_name, name, reveal=reveal), sealed.body))

    async def answer(
        self,
        call: Call,
        application_name: str,
        name: str,
        known: Collection[str],
        shape: Callable[[Configuration], bytes],
        *,
        reveal: bool,
    ) -> Answer:
        """What `get` gives, as `shape` makes it; without a body where its ETag is one of `known`, which discloses nothing."""
        application = await self._authority.find(application_name)
        act = self._allow(call, application, reveal=reveal)
        key = (application.name, (name,))
        kept, cached_at = await self._read(application.name, name)
        etag = _etag(application, kept.record, reveal=reveal)
        if etag in known:
            return Answer(etag, None)
        found = self._open(call, act, application, kept.record, cached_at, reveal=reveal)
        body = shape(found)
        if cached_at is None and self._cache.exact(key) is kept:
            keyring = self._node.for_decryption()
            sealed = keyring.seal(_answer_place(application.name, name, reveal=reveal), body, self._random)
            before = kept.answers.get(reveal)
            kept.answers[reveal] = _Sealed(application, keyring, etag, found.key_id, sealed)
            self._cache.grow(key, len(sealed) - (len(before.body) if before else 0))
        return Answer(etag, body)

    async def get(self, call: Call, application_name: str, name: str, *, reveal: bool) -> Configuration:
        """Masked values are left out unless `reveal`, which is audited as a disclosure."""
        application = await self._authority.find(application_name)
        act = self._allow(call, application, reveal=reveal)
        kept, cached_at = await self._read(application.name, name)
        return self._open(call, act, application, kept.record, cached_at, reveal=reveal)

    def _open(
        self, call: Call, act: str, application: Application, record: ConfigRecord, cached_at: datetime | None, *, reveal: bool
    ) -> Configuration:
        keyring = self._node.for_decryption()
        masked = _masked(application, record)
        key_ids = _key_ids_text(record.envelopes)
        self._audit.record(call, act, f"{application.name}/{record.name}", key_ids)
        properties = {
            field: keyring.open(place_of(application.name, record.name, field), envelope).decode()
            for field, envelope in sorted(record.envelopes.items())
            if reveal or field not in masked
        }
        return Configuration(record, properties, masked, key_ids, cached_at)

    async def value(self, call: Call, act: str, application_name: str, name: str, field: str) -> bytes:
        """One value, for a caller whose right to it is known already; audited as `act`. Raises ConfigNotFound."""
        application = await self._authority.find(application_name)
        self._authority.enabled(application)
        kept, _ = await self._read(application.name, name)
        envelope = kept.record.envelopes.get(field)
        if envelope is None:
            raise ConfigNotFound(f"configuration {application.name}/{name} has no value for {field}", next_step="give it one")
        keyring = self._node.for_decryption()
        self._audit.record(call, act, f"{application.name}/{name}/{field}", envelope[1:17].hex())
        return keyring.open(place_of(application.name, name, field), envelope)

    async def put(
        self,
        call: Call,
        application_name: str,
        name: str,
        given: dict[str, str] | Ciphertexts,
        if_version: int | None,
        *,
        dry_run: bool,
    ) -> tuple[int, Changes]:
        """Replaces the bag; an equal one is left as it is. Returns the version and the names of what changed."""
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "change configuration", application)
        check_name("configuration", name)
        if isinstance(given, Ciphertexts):
            given = given.opened(self._node.for_decryption(), partial(place_of, application.name, name))
        properties = given
        self._check_fields(application, properties)
        before = await self._stored(application.name, name)
        found = before.version if before else 0
        if if_version is not None and if_version != found:
            raise VersionConflict(
                f"configuration {application.name}/{name} is at version {found}, and version {if_version} was expected",
                next_step="read it again and repeat the change",
            )
        changes = self._compare(call, application.name, name, before, properties)
        if dry_run or (before is not None and not changes):
            return found, changes

        async def write(keyring: Keyring) -> int:
            self._audit.record(call, "change configuration", f"{application.name}/{name}", keyring.current.id.hex())
            sealed = self._seal(keyring, application.name, name, properties)
            record = ConfigRecord(application.name, name, found, self._node.clock.now().utc, sealed)
            return await self._offload(self._repository.put_config, record, keyring.current.id, found)

        return await self._encryption.under_current(write), changes

    async def delete(self, call: Call, application_name: str, name: str, *, dry_run: bool) -> int:
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "change configuration", application)
        if dry_run:
            return (await self._offload(self._repository.config, application.name, name)).version
        self._audit.record(call, "delete configuration", f"{application.name}/{name}")
        return await self._offload(self._repository.delete_config, application.name, name)

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
            field: keyring.seal(place_of(application, name, field), value.encode(), self._random)
            for field, value in properties.items()
        }

    def _compare(self, call: Call, application: str, name: str, before: ConfigRecord | None, wanted: dict[str, str]) -> Changes:
        stored = before.envelopes if before else {}
        changed = []
        if stored:
            keyring = self._node.for_decryption()
            # Whether a guess is right is a disclosure too.
            self._audit.record(call, "compare configuration", f"{application}/{name}", _key_ids_text(stored))
            changed = [
                field
                for field in stored.keys() & wanted.keys()
                if keyring.open(place_of(application, name, field), stored[field]) != wanted[field].encode()
            ]
        return Changes(sorted(wanted.keys() - stored.keys()), sorted(changed), sorted(stored.keys() - wanted.keys()))
