"""A database that was restored from a dump, and that no ssod uses yet: looked at, and made the database of other servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from ssod.errors import RestoreRefused
from ssod.storage import schema as t
from ssod.storage.records import Environment
from ssod.storage.repository import Database, read_environment
from ssod.storage.revoking import revoke_all_of
from ssod.storage.rotation import TABLES, Kind, StoredValue, ValuePlace

# How far above the highest epoch that is known the recovered environment begins. The dump cannot know how often the master was
# changed after it was made; so many changes have not happened. The column has room for two thousand recoveries (docs/adr/0008).
EPOCHS_APART = 1_000_000
HIGHEST_EPOCH = 2**31 - 1

# The envelope of a value, at the place to which it is moved.
Reseal = Callable[[ValuePlace, ValuePlace, bytes], bytes]


class Group(NamedTuple):
    """Values of one application under one key, and how many they are."""

    kind: Kind
    application: str
    key_id: bytes
    values: int


class TakenOver(NamedTuple):
    """`moved` counts the mappings whose principal has another name now."""

    epoch: int
    removed_servers: list[str]
    moved: int


class RecoveryRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Environment:
        with self._database.reads() as connection:
            return read_environment(connection)

    def applications(self) -> list[str]:
        with self._database.reads() as connection:
            return sorted(connection.execute(select(t.application.c.name)).scalars())

    def groups(self) -> list[Group]:
        """Every value is in one of them."""
        found: list[Group] = []
        with self._database.reads() as connection:
            for kind, (table, _) in TABLES.items():
                columns = (table.c.application, table.c.key_id)
                statement = select(*columns, func.count()).group_by(*columns).order_by(*columns)
                found += [Group(kind, *row) for row in connection.execute(statement)]
        return found

    def sample(self, group: Group, limit: int) -> list[StoredValue]:
        """Up to `limit` values of a group, by chance: each drill opens others."""
        table, owner = TABLES[group.kind]
        statement = (
            select(table.c.application, table.c[owner], table.c.field, table.c.envelope)
            .where(table.c.application == group.application, table.c.key_id == group.key_id)
            .order_by(func.random())
            .limit(limit)
        )
        with self._database.reads() as connection:
            return [StoredValue(ValuePlace(group.kind, *row[:3]), row[3]) for row in connection.execute(statement)]

    def principals(self) -> list[str]:
        """Everybody who is granted something, and every group that has a mapping; not the many people who have one."""
        with self._database.reads() as connection:
            found = set(connection.execute(select(t.role_member.c.principal)).scalars())
            for administrators, users in connection.execute(select(t.application.c.administrators, t.application.c.users)):
                found.update(administrators, users)
            groups = select(t.mapping.c.principal).where(t.mapping.c.principal.like("group:%")).distinct()
            found.update(connection.execute(groups).scalars())
        return sorted(found)

    def take_over(self, known_epoch: int, renamed: Mapping[str, str], reseal: Reseal, now: datetime) -> TakenOver:
        """Leaves no master and no server, has the certificates of the old ones refused, and gives principals their new names.

        The epoch is far above `known_epoch` and the database's own. One transaction. Raises RestoreRefused.
        """
        with self._database.transaction() as connection:
            environment = read_environment(connection, lock=True)
            epoch = max(environment.epoch, known_epoch) + EPOCHS_APART
            if epoch > HIGHEST_EPOCH:
                raise RestoreRefused("there is no epoch left above those that were given out")
            servers = sorted(connection.execute(select(t.server.c.name)).scalars())
            for server in servers:
                revoke_all_of(connection, server, now)
            connection.execute(delete(t.server))
            connection.execute(update(t.environment).values(master=None, epoch=epoch, confirmed_at=None, confirmed_epoch=None))
            _rename_members(connection, renamed)
            _rename_in_applications(connection, renamed)
            return TakenOver(epoch, servers, _move_mappings(connection, renamed, environment.current_key_id, reseal))


def _rename_members(connection: Connection, renamed: Mapping[str, str]) -> None:
    before = connection.execute(select(t.role_member)).all()
    after = sorted({(row.role, renamed.get(row.principal, row.principal)) for row in before})
    connection.execute(delete(t.role_member))
    if after:
        connection.execute(insert(t.role_member), [{"role": role, "principal": principal} for role, principal in after])


def _rename_in_applications(connection: Connection, renamed: Mapping[str, str]) -> None:
    def named_anew(principals: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(renamed.get(principal, principal) for principal in principals))

    for row in connection.execute(select(t.application)).all():
        administrators, users = named_anew(row.administrators), named_anew(row.users)
        if (administrators, users) != (row.administrators, row.users):
            connection.execute(
                update(t.application)
                .where(t.application.c.name == row.name)
                .values(administrators=administrators, users=users, version=row.version + 1)
            )


def _move_mappings(connection: Connection, renamed: Mapping[str, str], key_id: bytes | None, reseal: Reseal) -> int:
    """A value is bound to the name of whose it is: it is sealed again for the new one."""
    m, v = t.mapping, t.mapping_value
    mappings = [row._asdict() for row in connection.execute(select(m).where(m.c.principal.in_(list(renamed))))]
    if not mappings:
        return 0
    values = [row._asdict() for row in connection.execute(select(v).where(v.c.principal.in_(list(renamed))))]
    # All go before the first comes: two names may have been exchanged.
    connection.execute(delete(v).where(v.c.principal.in_(list(renamed))))
    connection.execute(delete(m).where(m.c.principal.in_(list(renamed))))
    moved = [row | {"principal": renamed[row["principal"]]} for row in mappings]
    _refuse_taken(connection, moved)
    connection.execute(insert(m), moved)
    if values:
        connection.execute(insert(v), [_moved_value(row, renamed, key_id, reseal) for row in values])
    return len(moved)


def _moved_value(row: dict[str, Any], renamed: Mapping[str, str], key_id: bytes | None, reseal: Reseal) -> dict[str, Any]:
    before = ValuePlace("mapping", row["application"], row["principal"], row["field"])
    after = before._replace(owner=renamed[row["principal"]])
    return row | {"principal": after.owner, "key_id": key_id, "envelope": reseal(before, after, row["envelope"])}


def _refuse_taken(connection: Connection, moved: Sequence[dict[str, Any]]) -> None:
    keys = [(row["application"], row["principal"]) for row in moved]
    rows = connection.execute(select(t.mapping.c.application, t.mapping.c.principal)).all() if keys else []
    there = {(row.application, row.principal) for row in rows if row.principal in {key[1] for key in keys}}
    taken = sorted({key for key in keys if keys.count(key) > 1} | there.intersection(keys))
    if taken:
        raise RestoreRefused(
            "two principals would have one name, and each has a mapping",
            next_step="give each a name of its own",
            conditions=[f"application {application}: {principal}" for application, principal in taken],
        )
