"""Applications and their configurations in the SSO database. It stores envelopes and never opens one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from ssod.errors import ApplicationInUse, ApplicationNotFound, ConfigNotFound, InvalidValue, Refused, VersionConflict
from ssod.storage import schema as t
from ssod.storage.changes import DATA, Change, announce
from ssod.storage.records import Application, ApplicationType, ConfigEntry, ConfigRecord, Field, Flags, Stored, Uses
from ssod.storage.repository import Database, aware, read_environment


class StaleKey(Refused):
    """The database calls another key current than the one a row was sealed under; refresh and seal again."""

    problem, title = "stale-epoch", "the master secret has changed meanwhile"


def _application(row: Any) -> Application:
    return Application(
        row.name,
        row.description,
        row.contact,
        row.enabled,
        tuple(row.administrators),
        tuple(row.users),
        tuple(msgspec.convert(row.fields, tuple[Field, ...])),
        row.version,
        ApplicationType(row.type),
        msgspec.convert(row.flags, Flags),
    )


def read_applications(connection: Connection) -> list[Application]:
    return [_application(row) for row in connection.execute(select(t.application).order_by(t.application.c.name))]


def removed_fields(before: Application, wanted: Application) -> list[str]:
    return sorted({field.name for field in before.fields} - {field.name for field in wanted.fields})


def refuse_while_in_use(name: str, uses: Uses) -> None:
    """Raises ApplicationInUse. A unit's credential alone is no data: it says where a value would be."""
    if uses.configs or uses.mappings:
        raise ApplicationInUse(
            f"application {name} has {uses.configs} configurations and {uses.mappings} mappings",
            next_step="delete those first, or say with_data",
        )


def _stored(connection: Connection, name: str, fields: Iterable[str]) -> Stored:
    def count(table: Table, field: str | None = None) -> int:
        statement = select(func.count()).select_from(table).where(table.c.application == name)
        if field is not None:
            statement = statement.where(table.c.field == field)
        return connection.execute(statement).scalar_one()

    return Stored(
        Uses(count(t.config), count(t.mapping), count(t.unit_credential)),
        {
            field: Uses(count(t.config_value, field), count(t.mapping_value, field), count(t.unit_credential, field))
            for field in fields
        },
    )


def _delete_data(connection: Connection, name: str) -> None:
    for table in (t.config_value, t.config, t.mapping_value, t.mapping, t.unit_credential):
        connection.execute(delete(table).where(table.c.application == name))
    announce(connection, *(Change(kind, name) for kind in DATA))


def _delete_fields(connection: Connection, name: str, fields: list[str]) -> None:
    """A row that loses a value has a new version: whoever keeps a copy of it has to hear of that."""
    for table, values, key in ((t.config, t.config_value, "name"), (t.mapping, t.mapping_value, "principal")):
        losing = (values.c.application == name) & values.c.field.in_(fields)
        connection.execute(
            update(table)
            .where(table.c.application == name, table.c[key].in_(select(values.c[key]).where(losing)))
            .values(version=table.c.version + 1)
        )
        connection.execute(delete(values).where(losing))
    connection.execute(
        delete(t.unit_credential).where(t.unit_credential.c.application == name, t.unit_credential.c.field.in_(fields))
    )
    announce(connection, *(Change(kind, name) for kind in DATA))


def _check_kept(application: Application, wanted: ConfigRecord) -> None:
    if application.type is not ApplicationType.CONFIG_STORE:
        raise InvalidValue(
            f"application {application.name} is of the type {application.type} and keeps no configuration",
            next_step="put it into an application of the type config_store",
        )
    unknown = sorted(wanted.envelopes.keys() - {field.name for field in application.fields})
    if unknown:
        raise InvalidValue(
            f"application {application.name} has no field {', '.join(unknown)}",
            next_step="declare the field in the application first",
        )


def _check_version(what: str, found: int, expected: int | None) -> None:
    if expected is not None and found != expected:
        raise VersionConflict(
            f"{what} is at version {found}, and version {expected} was expected",
            next_step="read it again and repeat the change",
        )


class ApplicationRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Application]:
        with self._database.reads() as connection:
            return read_applications(connection)

    def find(self, name: str) -> Application:
        """Raises ApplicationNotFound."""
        with self._database.reads() as connection:
            return self._find(connection, name)

    @staticmethod
    def _find(connection: Connection, name: str) -> Application:
        row = connection.execute(select(t.application).where(t.application.c.name == name)).one_or_none()
        if row is None:
            raise ApplicationNotFound(f"there is no application {name!r}")
        return _application(row)

    def stored(self, name: str, fields: Iterable[str] = ()) -> Stored:
        """What there is of an application's data, and of the values of these fields."""
        with self._database.reads() as connection:
            return _stored(connection, name, fields)

    def put(self, wanted: Application, if_version: int | None, expected: Stored | None = None) -> Application:
        """Creates or replaces; `wanted.version` is ignored. An equal one is left as it is.

        What the new application cannot have is deleted with the change: values of fields that are gone, everything when it is of
        another type. `expected` is that data as it was found: what has come since is not lost unseen. Raises VersionConflict.
        """
        with self._database.transaction() as connection:
            read_environment(connection, lock=True)  # as put_config does: no value comes between the look and the end
            row = connection.execute(
                select(t.application).where(t.application.c.name == wanted.name).with_for_update()
            ).one_or_none()
            found = 0 if row is None else row.version
            _check_version(f"application {wanted.name}", found, if_version)
            before = None if row is None else _application(row)
            if before is not None and before._replace(version=0) == wanted._replace(version=0):
                return before
            if before is not None:
                self._make_room(connection, before, wanted, expected)
            values = wanted._asdict() | {
                "administrators": list(wanted.administrators),
                "users": list(wanted.users),
                "fields": msgspec.to_builtins(wanted.fields),
                "flags": msgspec.to_builtins(wanted.flags),
                "version": found + 1,
            }
            if row is None:
                connection.execute(insert(t.application).values(values))
            else:
                connection.execute(update(t.application).where(t.application.c.name == wanted.name).values(values))
            announce(connection, Change("application", wanted.name))
            return wanted._replace(version=found + 1)

    @staticmethod
    def _make_room(connection: Connection, before: Application, wanted: Application, expected: Stored | None) -> None:
        gone = removed_fields(before, wanted)
        if before.type == wanted.type and not gone:
            return
        if expected is not None and _stored(connection, wanted.name, gone) != expected:
            raise VersionConflict(
                f"the data of application {wanted.name} was changed meanwhile",
                next_step="look at the plan again and repeat the change",
            )
        if before.type != wanted.type:
            _delete_data(connection, wanted.name)
        elif gone:
            _delete_fields(connection, wanted.name, gone)

    def delete(self, name: str, *, with_data: bool) -> None:
        """Raises ApplicationNotFound; ApplicationInUse while there is data and `with_data` is not said."""
        with self._database.transaction() as connection:
            read_environment(connection, lock=True)  # as put_config does: no configuration comes between the count and the end
            self._find(connection, name)
            if not with_data:
                refuse_while_in_use(name, _stored(connection, name, ()).all)
            _delete_data(connection, name)
            connection.execute(delete(t.application).where(t.application.c.name == name))
            announce(connection, Change("application", name))

    def configs(self, application: str) -> list[ConfigEntry]:
        with self._database.reads() as connection:
            fields: dict[str, list[str]] = {}
            for name, field in connection.execute(
                select(t.config_value.c.name, t.config_value.c.field)
                .where(t.config_value.c.application == application)
                .order_by(t.config_value.c.field)
            ):
                fields.setdefault(name, []).append(field)
            rows = connection.execute(select(t.config).where(t.config.c.application == application).order_by(t.config.c.name))
            return [ConfigEntry(r.name, r.version, aware(r.updated_at), tuple(fields.get(r.name, ()))) for r in rows]

    def config(self, application: str, name: str) -> ConfigRecord:
        """One statement: who reads for the first time waits for one answer of the database. Raises ConfigNotFound."""
        config, value = t.config.c, t.config_value.c
        rows = self._database.rows(
            select(config.version, config.updated_at, value.field, value.envelope)
            .join_from(t.config, t.config_value, isouter=True)
            .where(config.application == application, config.name == name)
        )
        if not rows:
            raise ConfigNotFound(f"application {application} has no configuration {name!r}")
        envelopes = {row.field: row.envelope for row in rows if row.field is not None}
        return ConfigRecord(application, name, rows[0].version, aware(rows[0].updated_at), envelopes)

    def put_config(self, wanted: ConfigRecord, key_id: bytes, if_version: int) -> int:
        """Stores envelopes sealed under `key_id` and returns the new version.

        The key is compared with the one the database calls current in the same transaction: promise 6 of the design.
        Raises StaleKey, VersionConflict; InvalidValue for what the application does not keep, or not any more.
        """
        with self._database.transaction() as connection:
            current = read_environment(connection, lock=True).current_key_id
            if current != key_id:
                raise StaleKey("the master secret was changed while this value was being encrypted", next_step="repeat it")
            _check_kept(self._find(connection, wanted.application), wanted)
            here = (t.config.c.application == wanted.application) & (t.config.c.name == wanted.name)
            row = connection.execute(select(t.config).where(here).with_for_update()).one_or_none()
            found = 0 if row is None else row.version
            _check_version(f"configuration {wanted.application}/{wanted.name}", found, if_version)
            key = {"application": wanted.application, "name": wanted.name}
            stamp: dict[str, int | datetime] = {"version": found + 1, "updated_at": wanted.updated_at}
            if row is None:
                connection.execute(insert(t.config).values(**key, **stamp))
            else:
                connection.execute(update(t.config).where(here).values(stamp))
            connection.execute(
                delete(t.config_value).where(
                    t.config_value.c.application == wanted.application, t.config_value.c.name == wanted.name
                )
            )
            if wanted.envelopes:
                connection.execute(
                    insert(t.config_value),
                    [key | {"field": f, "key_id": key_id, "envelope": e} for f, e in wanted.envelopes.items()],
                )
            announce(connection, Change("config", wanted.application, wanted.name))
            return found + 1

    def delete_config(self, application: str, name: str) -> int:
        """Returns the version that was deleted. Raises ConfigNotFound."""
        with self._database.transaction() as connection:
            here = (t.config.c.application == application) & (t.config.c.name == name)
            row = connection.execute(select(t.config).where(here).with_for_update()).one_or_none()
            if row is None:
                raise ConfigNotFound(f"application {application} has no configuration {name!r}")
            connection.execute(
                delete(t.config_value).where(t.config_value.c.application == application, t.config_value.c.name == name)
            )
            connection.execute(delete(t.config).where(here))
            announce(connection, Change("config", application, name))
            return int(row.version)
