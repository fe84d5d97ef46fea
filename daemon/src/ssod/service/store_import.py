"""Takes what a store was exported as into this one: values that open here, under names that are free here.

What is there already just as it is in the document is left alone, so an import that broke off can be run again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from ssod.core import envelope
from ssod.core.envelope import Place
from ssod.core.keyring import Keyring, Random
from ssod.core.mappings import is_exclusive
from ssod.errors import ImportRefused, Rejected
from ssod.service.authority import Authority
from ssod.service.configuration import place_of as config_place
from ssod.service.encryption import Encryption
from ssod.service.mappings import place_of as mapping_place
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.service.store_document import Counts, Imported, Store
from ssod.service.store_rows import config_name, counts, faults, mapping_name, names, rows_of, unit_name
from ssod.storage.records import Application
from ssod.storage.records import Mapping as MappingRecord
from ssod.storage.whole_store import Rows, StoreRepository

# Values are opened in the event loop's thread: everybody else has a turn after so many entries.
TURN = 50
# More of what is wrong than this is only counted.
MOST_CONDITIONS = 100

_Placed = Callable[[str], Place]


class StoreImport:
    def __init__(
        self,
        node: Node,
        repository: StoreRepository,
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

    async def take(self, call: Call, store: Store, *, dry_run: bool) -> Imported:
        """Adds all of the document, or nothing. Raises ImportRefused with every condition that is not met."""
        self._authority.everywhere(call.caller, "import store")
        conditions: list[str] = []
        wanted = rows_of(store, conditions)
        there = await self._offload(self._repository.existing, wanted)
        applications = {each.name: each for each in (*wanted.applications, *there.applications)}
        conditions += faults(store, wanted, applications)
        conditions += await self._taken_accounts(wanted, applications)
        keyring = self._node.for_decryption() if _holds_values(wanted) else None
        new, unchanged = await _Comparison(keyring, conditions).of(wanted, there)
        _refuse(conditions)
        if not dry_run and new != Rows.none():
            await self._add(call, new, there.applications)
        return Imported(created=counts(new), unchanged=unchanged)

    async def _taken_accounts(self, wanted: Rows, applications: Mapping[str, Application]) -> list[str]:
        """What would give a second principal an account that belongs to one."""
        owners: dict[str, dict[str, str]] = {}
        for application, (mapping, _) in wanted.mappings:
            if application in applications and is_exclusive(applications[application].type):
                owners.setdefault(application, {})[mapping.external_id] = mapping.principal
        return [
            f"{mapping_name(application, wanted_by[account])}: {account} is the account of {owner}"
            for application, wanted_by in owners.items()
            for account, owner in (await self._offload(self._repository.accounts, application, list(wanted_by))).items()
            if owner != wanted_by[account]
        ]

    async def _add(self, call: Call, new: Rows, judged_by: list[Application]) -> None:
        if _holds_values(new):
            await self._encryption.under_current(partial(self._store, call, new, judged_by))
        else:
            await self._store(call, new, judged_by, None)
        await self._authority.reload()

    async def _store(self, call: Call, new: Rows, judged_by: list[Application], keyring: Keyring | None) -> None:
        key_id = keyring.current.id if keyring else None
        if keyring is not None:
            new = await self._under_current(keyring, new)
        for what in names(new):
            self._audit.record(call, "import store", what, key_id.hex() if key_id else "")
        await self._offload(self._repository.add, new, key_id, self._node.clock.now().utc, judged_by)

    async def _under_current(self, keyring: Keyring, new: Rows) -> Rows:
        """The same rows; what is sealed under a retired key is sealed again, under the current one."""

        def renewed(place: _Placed, envelopes: Mapping[str, bytes]) -> dict[str, bytes]:
            return {
                field: each
                if envelope.key_id_of(each) == keyring.current.id
                else keyring.seal(place(field), keyring.open(place(field), each), self._random)
                for field, each in envelopes.items()
            }

        configs, mappings = [], []
        for number, config in enumerate(new.configs):
            await _turn(number)
            configs.append(config._replace(envelopes=renewed(_in_config(config.application, config.name), config.envelopes)))
        for number, owned in enumerate(new.mappings):
            await _turn(number)
            place = _in_mapping(owned.application, owned.sealed.mapping.principal)
            mappings.append(owned._replace(sealed=owned.sealed._replace(envelopes=renewed(place, owned.sealed.envelopes))))
        return new._replace(configs=configs, mappings=mappings)


class _Comparison:
    """Sorts what is wanted into what is new and what is there; what is there and is another becomes a condition."""

    def __init__(self, keyring: Keyring | None, conditions: list[str]) -> None:
        self._keyring = keyring
        self._conditions = conditions
        self._unchanged: Counter[str] = Counter()

    async def of(self, wanted: Rows, there: Rows) -> tuple[Rows, Counts]:
        applications = {each.name: each._replace(version=0) for each in there.applications}
        units = {(each.unit, each.credential): each for each in there.unit_credentials}
        new = Rows(
            [a for a in wanted.applications if self._is_new("applications", f"application {a.name}", applications.get(a.name), a)],
            {
                role: members
                for role, members in wanted.roles.items()
                if self._is_new("roles", f"role {role}", there.roles.get(role), members)
            },
            [],
            [],
            [
                u
                for u in wanted.unit_credentials
                if self._is_new("unit_credentials", unit_name(u.unit, u.credential), units.get((u.unit, u.credential)), u)
            ],
        )
        configs = {(each.application, each.name): each for each in there.configs}
        for number, config in enumerate(wanted.configs):
            await _turn(number)
            what, place = config_name(config.application, config.name), _in_config(config.application, config.name)
            opened, stored = self._opened(what, place, config.envelopes), configs.get((config.application, config.name))
            if self._is_new("configs", what, stored and self._opened(what, place, stored.envelopes), opened):
                new.configs.append(config)
        mappings = {(owned.application, owned.sealed.mapping.principal): owned.sealed for owned in there.mappings}
        for number, owned in enumerate(wanted.mappings):
            await _turn(number)
            (mapping, envelopes), key = owned.sealed, (owned.application, owned.sealed.mapping.principal)
            what, place, found = mapping_name(*key), _in_mapping(*key), mappings.get(key)
            entry = (_attributes(mapping), self._opened(what, place, envelopes))
            present = found and (_attributes(found.mapping), self._opened(what, place, found.envelopes))
            if self._is_new("mappings", what, present, entry):
                new.mappings.append(owned)
        return new, Counts(**self._unchanged)

    def _is_new(self, kind: str, what: str, found: object, wanted: object) -> bool:
        """`found` is None when there is nothing of this name."""
        if found is None:
            return True
        self._unchanged[kind] += 1
        if found != wanted:
            self._conditions.append(f"{what} is there already, and is another")
        return False

    def _opened(self, what: str, place: _Placed, envelopes: Mapping[str, bytes]) -> dict[str, bytes]:
        """The values; one that does not open where it says that it lives becomes a condition."""
        values = {}
        for field, each in envelopes.items():
            assert self._keyring is not None  # noqa: S101  for the type checker: where there are values, there is one
            try:
                values[field] = self._keyring.open(place(field), each)
            except Rejected as refusal:
                self._conditions.append(f"{what}, field {field}: {refusal.detail}")
        return values


def _refuse(conditions: list[str]) -> None:
    if not conditions:
        return
    rest = len(conditions) - MOST_CONDITIONS
    raise ImportRefused(
        f"nothing of this was imported: {conditions[0]}",
        next_step="import into an environment that has none of these names, and whose keyring opens these values",
        conditions=[*conditions[:MOST_CONDITIONS], *([f"and {rest} more"] if rest > 0 else [])],
    )


def _holds_values(rows: Rows) -> bool:
    return any(config.envelopes for config in rows.configs) or any(owned.sealed.envelopes for owned in rows.mappings)


def _attributes(mapping: MappingRecord) -> tuple[object, ...]:
    return (mapping.external_id, mapping.position, mapping.disabled_by_user, mapping.disabled_by_administrator)


def _in_config(application: str, name: str) -> _Placed:
    return lambda field: config_place(application, name, field)


def _in_mapping(application: str, principal: str) -> _Placed:
    return lambda field: mapping_place(application, principal, field)


async def _turn(number: int) -> None:
    if number % TURN == TURN - 1:
        await asyncio.sleep(0)  # a turn for the others
