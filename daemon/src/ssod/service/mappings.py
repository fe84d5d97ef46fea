"""Credential mappings: whose account outside is whose here. What is written is compared first, and values are never given out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from ssod.core.envelope import Place
from ssod.core.keyring import Keyring, Random
from ssod.core.mappings import is_exclusive, keeps_mappings, unfit
from ssod.errors import ExternalIdTaken, Forbidden, InvalidValue, MappingDisabled, MappingNotFound, VersionConflict
from ssod.service.authority import Authority
from ssod.service.ciphertexts import Ciphertexts
from ssod.service.configuration import Changes
from ssod.service.encryption import Encryption
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.mappings import MappingRepository
from ssod.storage.records import Application, Mapping, MappingChange, SealedMapping

# Values are sealed and compared in the event loop's thread: everybody else has a turn after so many mappings.
TURN = 50


class Wanted(NamedTuple):
    """How a mapping shall be. None: as it is. `credentials` are all of them, by field."""

    principal: str
    external_id: str | None = None
    position: int | None = None
    disabled_by_user: bool | None = None
    disabled_by_administrator: bool | None = None
    credentials: dict[str, str] | None = None


class Written(NamedTuple):
    """`changes` names fields, `attributes` whatever else of the mapping changes."""

    mapping: Mapping
    changes: Changes
    attributes: list[str]

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.attributes)


class Loaded(NamedTuple):
    created: int
    changed: int
    unchanged: int


def place_of(application: str, principal: str, field: str) -> Place:
    return Place(application, "credential", principal, field)


def key_ids_text(mapping: Mapping) -> str:
    return ",".join(sorted({key_id.hex() for key_id in mapping.key_ids.values()}))


class Mappings:
    def __init__(
        self,
        node: Node,
        repository: MappingRepository,
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

    async def _application(self, call: Call, name: str, act: str) -> Application:
        application = await self._authority.find(name)
        self._authority.within(call.caller, act, application)
        return application

    async def page(self, call: Call, application_name: str, after: str, limit: int, external_id: str | None) -> list[Mapping]:
        application = await self._application(call, application_name, "list mappings")
        self._audit.record(call, "list mappings", application.name)
        exclusive = is_exclusive(application.type)
        return await self._offload(self._repository.page, application.name, after, limit, external_id, exclusive=exclusive)

    async def get(self, call: Call, application_name: str, principal: str) -> Mapping:
        application = await self._application(call, application_name, "read mapping")
        self._audit.record(call, "read mapping", f"{application.name}/{principal}")
        return (await self._stored(application, principal)).mapping

    async def put(
        self,
        call: Call,
        application_name: str,
        wanted: Wanted,
        if_version: int | None,
        *,
        dry_run: bool,
        ciphertexts: Ciphertexts | None = None,
    ) -> Written:
        """Creates or replaces; an equal one is left as it is. Giving credentials to one without any enables it.

        `ciphertexts` are in the place of the credentials of `wanted`.
        """
        application = await self._application(call, application_name, "manage mappings")
        if ciphertexts is not None:
            place = partial(place_of, application.name, wanted.principal)
            wanted = wanted._replace(credentials=ciphertexts.opened(self._node.for_decryption(), place))
        stored = await self._offload(self._repository.find, application.name, [wanted.principal])
        before = stored.get(wanted.principal)
        found = before.mapping.version if before else 0
        if if_version is not None and if_version != found:
            raise VersionConflict(
                f"the mapping of {wanted.principal} is at version {found}, and version {if_version} was expected",
                next_step="read it again and repeat the change",
            )
        if wanted.disabled_by_administrator is None:
            wanted = wanted._replace(disabled_by_administrator=_disabled_by_default(before, wanted))
        return await self._put(call, application, before, wanted, dry_run=dry_run)

    async def load(self, call: Call, application_name: str, wanted: Sequence[Wanted], *, dry_run: bool) -> Loaded:
        """Creates or replaces all of them, or none. A refusal's conditions begin with the principal that each is about."""
        application = await self._application(call, application_name, "manage mappings")
        counted = Counter(each.principal for each in wanted)
        twice = [f"{principal}: it is there {times} times" for principal, times in counted.items() if times > 1]
        if twice:
            raise InvalidValue(f"a principal is there more than once: {twice[0]}", conditions=twice)
        self._check(application, wanted)
        stored = await self._offload(self._repository.find, application.name, list(counted))
        outcomes = []
        for number, each in enumerate(wanted):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)  # a turn for the others
            before = stored.get(each.principal)
            each = each._replace(disabled_by_administrator=_disabled_by_default(before, each))  # noqa: PLW2901
            outcomes.append((self._compare(call, application, before, each), each))
        changed = [(written, each) for written, each in outcomes if written.changed]
        if changed and not dry_run:
            await self._write(call, application, changed)
        created = sum(1 for written, _ in changed if not written.mapping.version)
        return Loaded(created, len(changed) - created, len(wanted) - len(changed))

    async def delete(self, call: Call, application_name: str, principal: str, *, dry_run: bool) -> int:
        """Returns the version that is deleted. Raises MappingNotFound."""
        application = await self._application(call, application_name, "manage mappings")
        mapping = (await self._stored(application, principal)).mapping
        if not dry_run:
            await self._delete(call, application, mapping)
        return mapping.version

    async def get_own(self, call: Call, application_name: str) -> Mapping:
        application = await self._own_application(call, application_name)
        return (await self._stored(application, call.caller.name)).mapping

    async def put_own(self, call: Call, application_name: str, wanted: Wanted, *, dry_run: bool) -> Written:
        """As `put`, of the caller's own, who decides about `disabled_by_user` and never about what an administrator disabled."""
        application = await self._own_application(call, application_name)
        before = (await self._offload(self._repository.find, application.name, [call.caller.name])).get(call.caller.name)
        account = before.mapping.external_id if before else None
        if not application.fields and wanted.external_id not in {None, account}:
            # Without a password that the other side asks for, whoever says whose account he has would be whom he likes.
            raise Forbidden(
                f"in application {application.name} the account is all that is given, and no user says which is his own",
                next_step="ask an administrator of the application",
            )
        try:
            return await self._put(call, application, before, wanted, dry_run=dry_run)
        except ExternalIdTaken:
            raise ExternalIdTaken(  # whose it is, a user does not learn
                f"in application {application.name} this external account belongs to another principal",
                next_step="ask an administrator of the application",
            ) from None

    async def delete_own(self, call: Call, application_name: str, *, dry_run: bool) -> int:
        application = await self._own_application(call, application_name)
        mapping = (await self._stored(application, call.caller.name)).mapping
        if mapping.disabled_by_administrator:
            # Its owner could make a new one, which is enabled.
            raise MappingDisabled(
                f"the mapping of {mapping.principal} is disabled by an administrator, and so not yours to delete",
                next_step="ask an administrator of the application",
            )
        if not dry_run:
            await self._delete(call, application, mapping)
        return mapping.version

    async def _own_application(self, call: Call, name: str) -> Application:
        application = await self._application(call, name, "manage own mapping")
        if application.type != "individual":
            raise InvalidValue(
                f"application {name} is of type {application.type}: nobody has a mapping of his own there",
                next_step="its administrators manage its mappings",
            )
        return application

    async def _stored(self, application: Application, principal: str) -> SealedMapping:
        found = await self._offload(self._repository.find, application.name, [principal])
        if principal not in found:
            raise MappingNotFound(
                f"application {application.name} has no mapping of {principal}",
                next_step=f"list them with `ssoctl mapping list {application.name}`",
            )
        return found[principal]

    async def _delete(self, call: Call, application: Application, mapping: Mapping) -> None:
        self._audit.record(call, "delete mapping", f"{application.name}/{mapping.principal}")
        await self._offload(self._repository.delete, application.name, mapping.principal, mapping.version)

    async def _put(
        self, call: Call, application: Application, before: SealedMapping | None, wanted: Wanted, *, dry_run: bool
    ) -> Written:
        self._check(application, [wanted])
        if before is None and wanted.external_id is None:
            raise InvalidValue("a new mapping needs an external_id", next_step="say which account outside it is")
        written = self._compare(call, application, before, wanted)
        if dry_run or not written.changed:
            return written
        (mapping,) = await self._write(call, application, [(written, wanted)])
        return written._replace(mapping=mapping)

    @staticmethod
    def _check(application: Application, wanted: Sequence[Wanted]) -> None:
        """Raises InvalidValue with what is wrong with each."""
        if not keeps_mappings(application.type):
            raise InvalidValue(
                f"application {application.name} is of type {application.type}, which keeps no mappings",
                next_step="make it individual, group or host_group",
            )
        fields = {field.name for field in application.fields}
        problems = [(each.principal, unfit(application.type, fields, each.principal, each.credentials or ())) for each in wanted]
        conditions = [f"{principal}: {problem}" for principal, problem in problems if problem]
        if conditions:
            raise InvalidValue(f"application {application.name} cannot keep {conditions[0]}", conditions=conditions)

    def _compare(self, call: Call, application: Application, before: SealedMapping | None, wanted: Wanted) -> Written:
        """What the mapping would be, with the version that it has now, and what changes about it."""
        old = before.mapping if before else Mapping(wanted.principal, "", 0, False, False, 0, None, {})
        new = old._replace(
            **{
                name: value
                for name in ("external_id", "position", "disabled_by_user", "disabled_by_administrator")
                if (value := getattr(wanted, name)) is not None
            }
        )
        attributes = [
            name
            for name in ("external_id", "position", "disabled_by_user", "disabled_by_administrator")
            if before is None or getattr(old, name) != getattr(new, name)
        ]
        return Written(new, self._compare_values(call, application, before, wanted), attributes)

    def _compare_values(self, call: Call, application: Application, before: SealedMapping | None, wanted: Wanted) -> Changes:
        if wanted.credentials is None:
            return Changes([], [], [])
        stored = before.envelopes if before else {}
        changed = []
        if before is not None and stored:
            keyring = self._node.for_decryption()
            # Whether a guess is right is a disclosure too: who sets credentials may not read them.
            subject = f"{application.name}/{wanted.principal}"
            self._audit.record(call, "compare credentials", subject, key_ids_text(before.mapping))
            changed = [
                field
                for field in stored.keys() & wanted.credentials.keys()
                if keyring.open(place_of(application.name, wanted.principal, field), stored[field])
                != wanted.credentials[field].encode()
            ]
        return Changes(
            sorted(wanted.credentials.keys() - stored.keys()), sorted(changed), sorted(stored.keys() - wanted.credentials.keys())
        )

    async def _write(self, call: Call, application: Application, wanted: Sequence[tuple[Written, Wanted]]) -> list[Mapping]:
        """Seals what is to be sealed, and stores all of it or nothing. Returns the mappings as they are then."""
        # Disabling one, or renaming its account, needs no key, and so no master.
        if any(each.changes and each_wanted.credentials for each, each_wanted in wanted):
            return await self._encryption.under_current(partial(self._store, call, application, wanted))
        return await self._store(call, application, wanted, None)

    async def _store(
        self, call: Call, application: Application, wanted: Sequence[tuple[Written, Wanted]], keyring: Keyring | None
    ) -> list[Mapping]:
        key_id = keyring.current.id if keyring else None
        changes = []
        for number, (written, each) in enumerate(wanted):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)  # a turn for the others
            subject = f"{application.name}/{each.principal}"
            self._audit.record(call, "change mapping", subject, key_id.hex() if key_id and written.changes else "")
            changes.append(self._change(keyring, application, written, each))
        now = self._node.clock.now().utc
        await self._offload(self._repository.put, application.name, changes, key_id, now)
        return [mapping._replace(version=mapping.version + 1, updated_at=now) for mapping, _ in changes]

    def _change(self, keyring: Keyring | None, application: Application, written: Written, wanted: Wanted) -> MappingChange:
        if not written.changes or wanted.credentials is None:
            return MappingChange(written.mapping, None)
        envelopes = {}
        if keyring is not None:  # else every value is taken away
            envelopes = {
                field: keyring.seal(place_of(application.name, wanted.principal, field), value.encode(), self._random)
                for field, value in wanted.credentials.items()
            }
        key_ids = dict.fromkeys(envelopes, keyring.current.id) if keyring is not None else {}
        return MappingChange(written.mapping._replace(key_ids=key_ids), envelopes)


def _disabled_by_default(before: SealedMapping | None, wanted: Wanted) -> bool | None:
    """What an administrator who does not say means: without credentials disabled, with its first ones enabled, else as it is."""
    if before is None:
        return not wanted.credentials
    return False if wanted.credentials and not before.envelopes else None
