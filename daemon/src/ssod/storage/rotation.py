"""A rotation in the SSO database: the next secret, the switch to it, and the rows that are brought from one to the other.

Each method that writes is one transaction, in which the caller is the master still.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, tuple_, update

from ssod.errors import VersionConflict
from ssod.storage import schema as t
from ssod.storage.changes import Change, announce
from ssod.storage.records import KeyRecord
from ssod.storage.repository import Database, acting_as_master, keep_backup, read_environment, refuse_stale

Kind = Literal["config", "mapping"]

# In the order in which they are gone through. The names of what owns a value, as its table has them.
TABLES: dict[Kind, tuple[Table, str]] = {"config": (t.config_value, "name"), "mapping": (t.mapping_value, "principal")}


class ValuePlace(NamedTuple):
    """Which value: of which table, and the rest of its primary key. They have an order; a pass over all of them follows it."""

    kind: Kind
    application: str
    owner: str
    field: str


class StoredValue(NamedTuple):
    place: ValuePlace
    envelope: bytes


# A value as it is stored, and its envelope under the current key.
Renewed = tuple[StoredValue, bytes]


class RotationRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def prepare(self, server: str, epoch: int, key: KeyRecord) -> None:
        """Makes `key` the one that is to be current next, in the place of another that was to be. Raises StaleEpoch."""
        with acting_as_master(self._database, server, epoch) as (connection, _):
            connection.execute(delete(t.next_key))
            connection.execute(insert(t.next_key).values(one=1, key_id=key.key_id, canary=key.canary, created_at=key.created_at))

    def switch(self, server: str, epoch: int, current: bytes, coming: bytes, now: datetime) -> None:
        """Makes the next key the current one, if both are still those, and it has a verified backup.

        Raises StaleEpoch, VersionConflict.
        """
        with acting_as_master(self._database, server, epoch) as (connection, environment):
            key = environment.next_key
            if environment.current_key_id != current or key is None or key.key_id != coming or key.backup is None:
                raise VersionConflict(
                    "the rotation is not as it was", next_step="look at `ssoctl secret rotation`, and run it again"
                )
            connection.execute(insert(t.master_key).values(key_id=key.key_id, canary=key.canary, created_at=key.created_at))
            connection.execute(update(t.master_key).where(t.master_key.c.key_id == current).values(retired_at=now))
            connection.execute(update(t.environment).values(current_key_id=coming))
            keep_backup(connection, key.backup)
            connection.execute(delete(t.next_key))

    def counts(self) -> dict[bytes, int]:
        """How many values are sealed under each key; a key without any is left out."""
        found: dict[bytes, int] = {}
        with self._database.reads() as connection:
            for table, _ in TABLES.values():
                for key_id, count in connection.execute(select(table.c.key_id, func.count()).group_by(table.c.key_id)):
                    found[key_id] = found.get(key_id, 0) + count
        return found

    def left(self, retired: Collection[bytes]) -> int:
        """How many values are under these keys. What is under others costs nothing: there is an index."""
        if not retired:
            return 0
        with self._database.reads() as connection:
            return sum(
                connection.execute(select(func.count()).where(table.c.key_id.in_(retired))).scalar_one()
                for table, _ in TABLES.values()
            )

    def under_others(self, key_id: bytes, after: ValuePlace | None, limit: int) -> list[StoredValue]:
        """Up to `limit` values that come after that place and are under another key than `key_id`."""
        values: list[StoredValue] = []
        with self._database.reads() as connection:
            for kind in TABLES:
                if after is None or kind >= after.kind:
                    here = after if after is not None and after.kind == kind else None
                    values += _under_others(connection, kind, key_id, here, limit - len(values))
                if len(values) == limit:
                    break
        return values

    def replace(self, server: str, epoch: int, key_id: bytes, renewed: Sequence[Renewed]) -> int:
        """Puts values under the current key, which must be `key_id`, in the place of what they are under now; says how many.

        Whoever writes a value meanwhile goes first: it is left as it is. Raises StaleEpoch, VersionConflict.
        """
        with self._database.transaction() as connection:
            environment = read_environment(connection, share=True)
            refuse_stale(environment, server, epoch)
            if environment.current_key_id != key_id:
                raise VersionConflict("the master secret has been rotated once more meanwhile", next_step="run it again")
            return sum(
                _replace(connection, kind, key_id, [each for each in renewed if each[0].place.kind == kind]) for kind in TABLES
            )

    def prune(self, server: str, epoch: int, key_ids: Collection[bytes]) -> None:
        """Forgets retired keys that no value is sealed under. Raises StaleEpoch; VersionConflict where one is."""
        with acting_as_master(self._database, server, epoch) as (connection, environment):
            gone = [key for key in key_ids if key != environment.current_key_id]
            connection.execute(delete(t.backup).where(t.backup.c.key_id.in_(gone)))
            connection.execute(delete(t.master_key).where(t.master_key.c.key_id.in_(gone)))
            # Copies of values that servers keep may be under these keys still.
            announce(connection, Change("config"), Change("mapping"))


def _under_others(connection: Connection, kind: Kind, key_id: bytes, after: ValuePlace | None, limit: int) -> list[StoredValue]:
    table, owner = TABLES[kind]
    place = (table.c.application, table.c[owner], table.c.field)
    statement = select(*place, table.c.envelope).where(table.c.key_id != key_id).order_by(*place).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(*place) > tuple_(after.application, after.owner, after.field))
    return [StoredValue(ValuePlace(kind, row[0], row[1], row[2]), row[3]) for row in connection.execute(statement)]


def _replace(connection: Connection, kind: Kind, key_id: bytes, renewed: Sequence[Renewed]) -> int:
    if not renewed:
        return 0
    if connection.dialect.name == "postgresql":
        # One statement for all of them: of many short ones, most of the time goes by between them.
        columns = {
            "applications": [value.place.application for value, _ in renewed],
            "owners": [value.place.owner for value, _ in renewed],
            "fields": [value.place.field for value, _ in renewed],
            "before": [value.envelope for value, _ in renewed],
            "envelopes": [envelope for _, envelope in renewed],
        }
        return connection.exec_driver_sql(_MANY[kind], {"key_id": key_id, **columns}).rowcount
    table, owner = TABLES[kind]
    here = (
        (table.c.application == bindparam("in_application"))
        & (table.c[owner] == bindparam("of_owner"))
        & (table.c.field == bindparam("in_field"))
        & (table.c.envelope == bindparam("before"))
    )
    rows = [
        {
            "in_application": place.application,
            "of_owner": place.owner,
            "in_field": place.field,
            "before": before,
            "renewed": envelope,
        }
        for (place, before), envelope in renewed
    ]
    return connection.execute(update(table).where(here).values(key_id=key_id, envelope=bindparam("renewed")), rows).rowcount


def _many(table: Table, owner: str) -> str:
    # %b: as binary. Written as text, the arrays would take more of the processor than everything else of a rotation.
    return (
        f"UPDATE {table.name} AS v SET key_id = %(key_id)b, envelope = n.envelope FROM ("  # noqa: S608  of our own two tables
        f"SELECT v.ctid AS row, n.envelope FROM {table.name} AS v "
        "JOIN unnest(%(applications)b::text[], %(owners)b::text[], %(fields)b::text[], %(before)b::bytea[], %(envelopes)b::bytea[])"
        " AS n(application, owner, field, before, envelope) "
        f"ON v.application = n.application AND v.{owner} = n.owner AND v.field = n.field AND v.envelope = n.before "
        "FOR UPDATE OF v SKIP LOCKED) AS n WHERE v.ctid = n.row"
    )


_MANY = {kind: _many(table, owner) for kind, (table, owner) in TABLES.items()}
