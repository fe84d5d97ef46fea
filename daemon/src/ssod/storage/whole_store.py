"""The whole store in the SSO database: read page by page, and added to. It stores envelopes and never opens one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, insert, select, tuple_

from ssod.core.mappings import is_exclusive
from ssod.errors import VersionConflict
from ssod.storage import schema as t
from ssod.storage.applications import StaleKey, read_applications
from ssod.storage.changes import Change, announce
from ssod.storage.records import Application, ConfigRecord, Mapping, SealedMapping, UnitCredential
from ssod.storage.repository import Database, aware, read_environment

# A page ends with the entry that brings its envelopes above this (bytes).
PAGE_BYTES = 2 << 20

# Of a row, what it is known by: where the next page begins.
Key = tuple[str, ...]


class Cursor(NamedTuple):
    """Where a page ended: after this key of this section of the store."""

    section: int
    key: Key


class OwnedMapping(NamedTuple):
    application: str
    sealed: SealedMapping


class Rows(NamedTuple):
    """A part of the store, or all of it. `roles` are the members of environment-wide roles by the name of the role."""

    applications: list[Application]
    roles: dict[str, frozenset[str]]
    configs: list[ConfigRecord]
    mappings: list[OwnedMapping]
    unit_credentials: list[UnitCredential]

    @classmethod
    def none(cls) -> Rows:
        return cls([], {}, [], [], [])


_Read = Callable[[Connection, Rows, Key | None, int], Iterator[tuple[Key, int]]]


def _columns(table: Table, names: Sequence[str]) -> list[ColumnElement[Any]]:
    return [table.c[name] for name in names]


def _keys(connection: Connection, table: Table, names: Sequence[str], after: Key | None, limit: int) -> list[Any]:
    columns = _columns(table, names)
    statement = select(table).order_by(*columns).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(*columns) > tuple_(*after))
    return list(connection.execute(statement))


def _envelopes(connection: Connection, table: Table, names: Sequence[str], keys: Sequence[Key]) -> dict[Key, dict[str, Any]]:
    """The rows of values that belong to these keys: by key, then by field."""
    found: dict[Key, dict[str, Any]] = {}
    if keys:
        columns = _columns(table, names)
        for row in connection.execute(select(table).where(tuple_(*columns).in_(keys)).order_by(table.c.field)):
            found.setdefault(tuple(getattr(row, name) for name in names), {})[row.field] = row
    return found


_CONFIG, _MAPPING, _UNIT = ("application", "name"), ("application", "principal"), ("unit", "credential")


def _config(row: Any, values: dict[str, Any]) -> ConfigRecord:
    envelopes = {field: value.envelope for field, value in values.items()}
    return ConfigRecord(row.application, row.name, row.version, aware(row.updated_at), envelopes)


def _mapping(row: Any, values: dict[str, Any]) -> OwnedMapping:
    mapping = Mapping(
        row.principal,
        row.external_id,
        row.position,
        row.disabled_by_user,
        row.disabled_by_administrator,
        row.version,
        aware(row.updated_at),
        {field: value.key_id for field, value in values.items()},
    )
    return OwnedMapping(row.application, SealedMapping(mapping, {field: value.envelope for field, value in values.items()}))


def _read_applications(connection: Connection, rows: Rows, after: Key | None, limit: int) -> Iterator[tuple[Key, int]]:
    # In an order of our own: the database may have another for letters, and a page begins where `after` says.
    for application in sorted(read_applications(connection), key=lambda each: each.name):
        if after is None or (application.name,) > after:
            rows.applications.append(application)
            yield (application.name,), 0


def _read_roles(connection: Connection, rows: Rows, after: Key | None, limit: int) -> Iterator[tuple[Key, int]]:
    members: dict[str, set[str]] = {}
    for row in connection.execute(select(t.role_member)):
        members.setdefault(row.role, set()).add(row.principal)
    for role in sorted(members):
        if after is None or (role,) > after:
            rows.roles[role] = frozenset(members[role])
            yield (role,), 0


def _read_configs(connection: Connection, rows: Rows, after: Key | None, limit: int) -> Iterator[tuple[Key, int]]:
    found = _keys(connection, t.config, _CONFIG, after, limit)
    values = _envelopes(connection, t.config_value, _CONFIG, [(row.application, row.name) for row in found])
    for row in found:
        key = (row.application, row.name)
        rows.configs.append(_config(row, values.get(key, {})))
        yield key, _size(values.get(key, {}))


def _read_mappings(connection: Connection, rows: Rows, after: Key | None, limit: int) -> Iterator[tuple[Key, int]]:
    found = _keys(connection, t.mapping, _MAPPING, after, limit)
    values = _envelopes(connection, t.mapping_value, _MAPPING, [(row.application, row.principal) for row in found])
    for row in found:
        key = (row.application, row.principal)
        rows.mappings.append(_mapping(row, values.get(key, {})))
        yield key, _size(values.get(key, {}))


def _read_units(connection: Connection, rows: Rows, after: Key | None, limit: int) -> Iterator[tuple[Key, int]]:
    for row in _keys(connection, t.unit_credential, _UNIT, after, limit):
        rows.unit_credentials.append(UnitCredential(*row))
        yield (row.unit, row.credential), 0


def _size(values: dict[str, Any]) -> int:
    return sum(len(value.envelope) for value in values.values())


# In the order in which an import needs them: what a later one refers to is in an earlier one.
_SECTIONS: tuple[_Read, ...] = (_read_applications, _read_roles, _read_configs, _read_mappings, _read_units)
SECTIONS = len(_SECTIONS)


class StoreRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, after: Cursor | None, limit: int) -> tuple[Rows, Cursor | None]:
        """The rows that follow, and where they end; None when nothing follows them."""
        rows, size, taken = Rows.none(), 0, 0
        start = after or Cursor(0, ())
        with self._database.reads() as connection:
            for section in range(start.section, SECTIONS):
                key = start.key if section == start.section and start.key else None
                for last, bytes_of_row in _SECTIONS[section](connection, rows, key, limit - taken):
                    taken, size = taken + 1, size + bytes_of_row
                    if taken == limit or size > PAGE_BYTES:
                        return rows, Cursor(section, last)
        return rows, None

    def existing(self, wanted: Rows) -> Rows:
        """What is there under the names of `wanted`, and every application."""
        configs = [(config.application, config.name) for config in wanted.configs]
        mappings = [(mapping.application, mapping.sealed.mapping.principal) for mapping in wanted.mappings]
        units = [(unit.unit, unit.credential) for unit in wanted.unit_credentials]
        with self._database.reads() as connection:
            roles = Rows.none()
            for _ in _read_roles(connection, roles, None, 0):
                pass
            config_values = _envelopes(connection, t.config_value, _CONFIG, configs)
            mapping_values = _envelopes(connection, t.mapping_value, _MAPPING, mappings)
            return Rows(
                read_applications(connection),
                roles.roles,
                [
                    _config(row, config_values.get((row.application, row.name), {}))
                    for row in _of(connection, t.config, _CONFIG, configs)
                ],
                [
                    _mapping(row, mapping_values.get((row.application, row.principal), {}))
                    for row in _of(connection, t.mapping, _MAPPING, mappings)
                ],
                [UnitCredential(*row) for row in _of(connection, t.unit_credential, _UNIT, units)],
            )

    def accounts(self, application: str, external_ids: Sequence[str]) -> dict[str, str]:
        """Whose those of these accounts are that belong to one principal only."""
        with self._database.reads() as connection:
            return {
                row.exclusive_id: row.principal
                for row in connection.execute(
                    select(t.mapping.c.exclusive_id, t.mapping.c.principal).where(
                        t.mapping.c.application == application, t.mapping.c.exclusive_id.in_(list(external_ids))
                    )
                )
            }

    def add(self, rows: Rows, key_id: bytes | None, now: datetime, judged_by: Sequence[Application]) -> None:
        """Adds all of it, or nothing. `key_id` is what every value is sealed under; None when there are none.

        `judged_by` are the applications that were there when it was found to fit. The key is compared with the one the database
        calls current in the same transaction: promise 6 of the design. Raises StaleKey; VersionConflict where one of the names is
        there by now, or an application is not as it was.
        """
        with self._database.transaction() as connection:
            current = read_environment(connection, lock=True).current_key_id
            if key_id is not None and current != key_id:
                raise StaleKey("the master secret was changed while these values were being encrypted", next_step="repeat it")
            applications = read_applications(connection)
            if applications != judged_by:
                raise VersionConflict("an application was changed meanwhile", next_step="run it again")
            types = {application.name: application.type for application in (*applications, *rows.applications)}
            _insert(connection, t.application, [_application_values(application) for application in rows.applications])
            _insert(
                connection,
                t.role_member,
                [{"role": role, "principal": principal} for role, members in rows.roles.items() for principal in sorted(members)],
            )
            _insert(
                connection,
                t.config,
                [{"application": c.application, "name": c.name, "version": 1, "updated_at": now} for c in rows.configs],
            )
            _insert(
                connection,
                t.config_value,
                [
                    {"application": c.application, "name": c.name, "field": field, "key_id": key_id, "envelope": envelope}
                    for c in rows.configs
                    for field, envelope in c.envelopes.items()
                ],
            )
            _insert(
                connection,
                t.mapping,
                [_mapping_values(owned, now, exclusive=is_exclusive(types[owned.application])) for owned in rows.mappings],
            )
            _insert(
                connection,
                t.mapping_value,
                [
                    {
                        "application": application,
                        "principal": sealed.mapping.principal,
                        "field": field,
                        "key_id": key_id,
                        "envelope": envelope,
                    }
                    for application, sealed in rows.mappings
                    for field, envelope in sealed.envelopes.items()
                ],
            )
            _insert(connection, t.unit_credential, [unit._asdict() for unit in rows.unit_credentials])
            announce(connection, *_changes(rows))


def _of(connection: Connection, table: Table, names: Sequence[str], keys: Sequence[Key]) -> list[Any]:
    if not keys:
        return []
    return list(connection.execute(select(table).where(tuple_(*_columns(table, names)).in_(keys))))


def _insert(connection: Connection, table: Table, values: list[dict[str, Any]]) -> None:
    if values:
        connection.execute(insert(table), values)


def _application_values(application: Application) -> dict[str, Any]:
    return application._asdict() | {
        "administrators": list(application.administrators),
        "users": list(application.users),
        "fields": msgspec.to_builtins(application.fields),
        "flags": msgspec.to_builtins(application.flags),
        "version": 1,
    }


def _mapping_values(owned: OwnedMapping, now: datetime, *, exclusive: bool) -> dict[str, Any]:
    mapping = owned.sealed.mapping
    return {
        "application": owned.application,
        "principal": mapping.principal,
        "external_id": mapping.external_id,
        "exclusive_id": mapping.external_id if exclusive else None,
        "position": mapping.position,
        "disabled_by_user": mapping.disabled_by_user,
        "disabled_by_administrator": mapping.disabled_by_administrator,
        "version": 1,
        "updated_at": now,
    }


def _changes(rows: Rows) -> Iterator[Change]:
    yield from (Change("application", application.name) for application in rows.applications)
    yield from (Change("role", name=role) for role in rows.roles)
    yield from (Change("config", config.application, config.name) for config in rows.configs)
    yield from (Change("mapping", owned.application, owned.sealed.mapping.principal) for owned in rows.mappings)
    yield from (Change("unit-credential", unit.application, f"{unit.unit}/{unit.credential}") for unit in rows.unit_credentials)
