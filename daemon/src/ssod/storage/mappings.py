"""Credential mappings in the SSO database: many of them, found by principal. It stores envelopes and never opens one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Column, Connection, Select, Text, bindparam, delete, func, insert, literal, select, true, update

from ssod.core.mappings import is_exclusive, unfit
from ssod.errors import ApplicationNotFound, ExternalIdTaken, InvalidValue, MappingNotFound, VersionConflict
from ssod.storage import schema as t
from ssod.storage.applications import StaleKey
from ssod.storage.changes import Change, announce
from ssod.storage.records import Mapping, MappingChange, SealedMapping
from ssod.storage.repository import Database, aware, read_environment

_m, _v = t.mapping.c, t.mapping_value.c
_VALUES = (_v.application == _m.application) & (_v.principal == _m.principal)


def _mapping(row: Any, key_ids: dict[str, bytes]) -> Mapping:
    return Mapping(
        row.principal,
        row.external_id,
        row.position,
        row.disabled_by_user,
        row.disabled_by_administrator,
        row.version,
        aware(row.updated_at),
        key_ids,
    )


def _sealed(rows: Iterable[Any]) -> dict[str, SealedMapping]:
    """By principal, from rows of mappings joined with their values."""
    found: dict[str, SealedMapping] = {}
    for row in rows:
        sealed = found.get(row.principal)
        if sealed is None:
            sealed = found[row.principal] = SealedMapping(_mapping(row, {}), {})
        if row.field is not None:
            sealed.mapping.key_ids[row.field] = row.key_id
            sealed.envelopes[row.field] = row.envelope
    return found


_WITH_VALUES = select(t.mapping, _v.field, _v.key_id, _v.envelope).select_from(t.mapping.outerjoin(t.mapping_value, _VALUES))


def _each(connection: Connection, application: str, column: Column[str], values: Collection[str]) -> Select[Any]:
    """The mappings that have one of many values in a column by which there is one at most.

    PostgreSQL is made to look for one after the other. While it has not counted a table that is being filled, it takes an
    application for a few rows, reads all of them, and compares each with every value.
    """
    here = select(t.mapping).where(_m.application == application)
    if connection.dialect.name != "postgresql":
        return here.where(column.in_(list(values)))
    wanted = func.unnest(literal(list(values), ARRAY(Text))).table_valued("value").render_derived()
    found = here.where(column == wanted.c.value).limit(1).lateral()
    return select(found).select_from(wanted.join(found, true()))


def _each_with_values(connection: Connection, application: str, principals: Collection[str]) -> Select[Any]:
    """As _WITH_VALUES, of many principals."""
    if connection.dialect.name != "postgresql":
        return _WITH_VALUES.where(_m.application == application, _m.principal.in_(list(principals)))
    here = _each(connection, application, _m.principal, principals).subquery()
    theirs = (_v.application == here.c.application) & (_v.principal == here.c.principal)
    # The offset keeps this a search of its own for each principal.
    values = select(_v.field, _v.key_id, _v.envelope).where(theirs).offset(0).lateral()
    return select(here, values).select_from(here.outerjoin(values, true()))


class MappingRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, application: str, after: str, limit: int, external_id: str | None = None, *, exclusive: bool = False
    ) -> list[Mapping]:
        """Up to `limit` mappings in the order of their principals, from the one that follows `after`; if asked, of one account."""
        wanted = select(_m.principal).where(_m.application == application, _m.principal > after)
        if external_id is not None:
            # An account that belongs to one principal is found by its own index; of the others an application has few.
            wanted = wanted.where((_m.exclusive_id if exclusive else _m.external_id) == external_id)
        page = wanted.order_by(_m.principal).limit(limit).subquery()
        statement = (
            select(t.mapping, _v.field, _v.key_id)
            .select_from(t.mapping.join(page, page.c.principal == _m.principal).outerjoin(t.mapping_value, _VALUES))
            .where(_m.application == application)
            .order_by(_m.principal, _v.field)
        )
        found: dict[str, Mapping] = {}
        with self._database.reads() as connection:
            for row in connection.execute(statement):
                mapping = found.setdefault(row.principal, _mapping(row, {}))
                if row.field is not None:
                    mapping.key_ids[row.field] = row.key_id
        return list(found.values())

    def find(self, application: str, principals: Collection[str]) -> dict[str, SealedMapping]:
        """Those of them that have a mapping."""
        with self._database.reads() as connection:
            return _sealed(connection.execute(_each_with_values(connection, application, principals)))

    def first(self, application: str, principals: Collection[str]) -> SealedMapping | None:
        """The one that comes first by position of what these principals have. One statement."""
        chosen = (
            select(_m.principal)
            .where(_m.application == application, _m.principal.in_(list(principals)))
            .order_by(_m.position, _m.principal)
            .limit(1)
            .scalar_subquery()
        )
        found = _sealed(self._database.rows(_WITH_VALUES.where(_m.application == application, _m.principal == chosen)))
        return next(iter(found.values()), None)

    def put(self, application: str, changes: Sequence[MappingChange], key_id: bytes | None, now: datetime) -> None:
        """Makes all the changes, or none. `key_id` is what their values are sealed under; None when they have none.

        The key is compared with the one the database calls current in the same transaction: promise 6 of the design.
        Raises StaleKey, VersionConflict, ExternalIdTaken, InvalidValue; each condition begins with the principal it is about.
        """
        with self._database.transaction() as connection:
            # Locked, so that the application does not change or go meanwhile; a mapping is then written by one at a time.
            current = read_environment(connection, lock=True).current_key_id
            if key_id is not None and current != key_id:
                raise StaleKey("the master secret was changed while these values were being encrypted", next_step="repeat it")
            exclusive = self._check_application(connection, application, changes)
            self._check_versions(connection, application, changes)
            if exclusive:
                self._check_accounts(connection, application, changes)
            self._write(connection, application, changes, now, exclusive=exclusive)
            self._write_values(connection, application, changes)
            announce(connection, *(Change("mapping", application, change.mapping.principal) for change in changes))

    @staticmethod
    def _check_application(connection: Connection, name: str, changes: Sequence[MappingChange]) -> bool:
        """Whether accounts are exclusive in the application as it is now. Raises InvalidValue for what it cannot keep."""
        row = connection.execute(
            select(t.application.c.type, t.application.c.fields).where(t.application.c.name == name)
        ).one_or_none()
        if row is None:
            raise ApplicationNotFound(f"there is no application {name!r}")
        fields = {field["name"] for field in row.fields}
        problems = [(c.mapping.principal, unfit(row.type, fields, c.mapping.principal, c.envelopes or ())) for c in changes]
        conditions = [f"{principal}: {problem}" for principal, problem in problems if problem]
        if conditions:
            raise InvalidValue(f"application {name} cannot keep this: {conditions[0]}", conditions=conditions)
        return is_exclusive(row.type)

    @staticmethod
    def _check_versions(connection: Connection, application: str, changes: Sequence[MappingChange]) -> None:
        principals = [change.mapping.principal for change in changes]
        rows = connection.execute(_each(connection, application, _m.principal, principals))
        found = {row.principal: row.version for row in rows}
        conditions = [
            f"{c.mapping.principal}: it is at version {found.get(c.mapping.principal, 0)}, and {c.mapping.version} was expected"
            for c in changes
            if found.get(c.mapping.principal, 0) != c.mapping.version
        ]
        if conditions:
            raise VersionConflict(
                f"a mapping of application {application} was written meanwhile: {conditions[0]}",
                next_step="read it again and repeat the change",
                conditions=conditions,
            )

    @staticmethod
    def _check_accounts(connection: Connection, application: str, changes: Sequence[MappingChange]) -> None:
        wanted = {change.mapping.external_id: change.mapping.principal for change in changes}
        changing = {change.mapping.principal for change in changes}
        rows = connection.execute(_each(connection, application, _m.exclusive_id, wanted))
        # Of one that is itself changing only what it is to become counts: two principals may exchange their accounts.
        taken = {row.exclusive_id: row.principal for row in rows if row.principal not in changing}
        conditions = [f"{wanted[account]}: {account} is the account of {owner}" for account, owner in sorted(taken.items())]
        conditions += [
            f"{change.mapping.principal}: {change.mapping.external_id} is given to {wanted[change.mapping.external_id]} too"
            for change in changes
            if wanted[change.mapping.external_id] != change.mapping.principal
        ]
        if conditions:
            raise ExternalIdTaken(
                f"in application {application} an external account belongs to one principal: {conditions[0]}",
                next_step="change or delete the other mapping first",
                conditions=conditions,
            )

    @staticmethod
    def _write(
        connection: Connection, application: str, changes: Sequence[MappingChange], now: datetime, *, exclusive: bool
    ) -> None:
        rows = [
            {
                "application": application,
                "principal": mapping.principal,
                "external_id": mapping.external_id,
                "exclusive_id": mapping.external_id if exclusive else None,
                "position": mapping.position,
                "disabled_by_user": mapping.disabled_by_user,
                "disabled_by_administrator": mapping.disabled_by_administrator,
                "version": mapping.version + 1,
                "updated_at": now,
            }
            for mapping, _ in changes
        ]
        made = [row for row in rows if row["version"] == 1]
        changed = [{f"new_{name}": value for name, value in row.items()} for row in rows if row["version"] != 1]
        if changed:
            here = [row["new_principal"] for row in changed]
            # Accounts are freed before they are given out again: an exchange would be in its own way otherwise.
            theirs = (_m.application == application) & _m.principal.in_(here)
            connection.execute(update(t.mapping).where(theirs).values(exclusive_id=None))
            columns = [name for name in rows[0] if name not in {"application", "principal"}]
            connection.execute(
                update(t.mapping)
                .where(_m.application == bindparam("new_application"), _m.principal == bindparam("new_principal"))
                .values({name: bindparam(f"new_{name}") for name in columns}),
                changed,
            )
        if made:
            connection.execute(insert(t.mapping), made)

    @staticmethod
    def _write_values(connection: Connection, application: str, changes: Sequence[MappingChange]) -> None:
        replaced = [c.mapping.principal for c in changes if c.envelopes is not None and c.mapping.version]
        if replaced:
            connection.execute(delete(t.mapping_value).where(_v.application == application, _v.principal.in_(replaced)))
        values = [
            {
                "application": application,
                "principal": mapping.principal,
                "field": field,
                "key_id": mapping.key_ids[field],
                "envelope": envelope,
            }
            for mapping, envelopes in changes
            for field, envelope in (envelopes or {}).items()
        ]
        if values:
            connection.execute(insert(t.mapping_value), values)

    def delete(self, application: str, principal: str, version: int) -> None:
        """Raises MappingNotFound; VersionConflict when it is another version by now."""
        with self._database.transaction() as connection:
            here = (_m.application == application) & (_m.principal == principal)
            found = connection.execute(select(_m.version).where(here).with_for_update()).scalar_one_or_none()
            if found is None:
                raise MappingNotFound(f"application {application} has no mapping of {principal}")
            if found != version:
                raise VersionConflict(f"the mapping of {principal} was written meanwhile", next_step="read it again and repeat it")
            connection.execute(delete(t.mapping_value).where(_v.application == application, _v.principal == principal))
            connection.execute(delete(t.mapping).where(here))
            announce(connection, Change("mapping", application, principal))
