"""Which value a systemd unit is given under which name, in the SSO database. A row is the grant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ssod.core.units import meet
from ssod.errors import UnitCredentialNotFound, UnitCredentialTaken
from ssod.storage import schema as t
from ssod.storage.changes import Change, announce
from ssod.storage.records import UnitCredential
from ssod.storage.repository import Database, read_environment


def _here(unit: str, credential: str) -> Any:
    return (t.unit_credential.c.unit == unit) & (t.unit_credential.c.credential == credential)


def _change(application: str, unit: str, credential: str) -> Change:
    return Change("unit-credential", application, f"{unit}/{credential}")


def _not_found(unit: str, credential: str) -> UnitCredentialNotFound:
    return UnitCredentialNotFound(f"unit {unit} is given no credential {credential}")


def _refuse_what_another_gives(connection: Connection, wanted: UnitCredential) -> None:
    """An instance's own grant goes before its template's: neither may be made beside the other by another application."""
    alike = t.unit_credential.c.unit.startswith(wanted.unit.partition("@")[0], autoescape=True)
    others = connection.execute(
        select(t.unit_credential.c.unit).where(
            t.unit_credential.c.credential == wanted.credential, t.unit_credential.c.application != wanted.application, alike
        )
    )
    taken = next((unit for unit in others.scalars() if meet(unit, wanted.unit)), None)
    if taken is not None:
        raise UnitCredentialTaken(
            f"unit {taken} is given credential {wanted.credential} by another application",
            next_step="choose another name for it here, or have it taken away there",
        )


class UnitCredentialRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, units: Sequence[str], credential: str) -> UnitCredential:
        """That of the first of `units` which has one. Raises UnitCredentialNotFound."""
        here = t.unit_credential.c.unit.in_(units) & (t.unit_credential.c.credential == credential)
        with self._database.reads() as connection:
            found = {row.unit: UnitCredential(*row) for row in connection.execute(select(t.unit_credential).where(here))}
        for unit in units:
            if unit in found:
                return found[unit]
        raise _not_found(units[0], credential)

    def of(self, application: str) -> list[UnitCredential]:
        """All that an application gives, by unit and credential."""
        query = select(t.unit_credential).where(t.unit_credential.c.application == application)
        with self._database.reads() as connection:
            return [
                UnitCredential(*row)
                for row in connection.execute(query.order_by(t.unit_credential.c.unit, t.unit_credential.c.credential))
            ]

    def put(self, wanted: UnitCredential, *, dry_run: bool) -> bool:
        """Grants, or moves the grant to another value; says whether that changes anything. Raises UnitCredentialTaken."""
        here = _here(wanted.unit, wanted.credential)
        with self._database.transaction() as connection:
            read_environment(connection, lock=True)  # of two that would meet, the second sees the first
            _refuse_what_another_gives(connection, wanted)
            row = connection.execute(select(t.unit_credential).where(here).with_for_update()).one_or_none()
            changed = row is None or UnitCredential(*row) != wanted
            if changed and not dry_run:
                statement = insert(t.unit_credential) if row is None else update(t.unit_credential).where(here)
                connection.execute(statement.values(wanted._asdict()))
                announce(connection, _change(wanted.application, wanted.unit, wanted.credential))
            return changed

    def delete(self, application: str, unit: str, credential: str, *, dry_run: bool) -> UnitCredential:
        """Takes the grant away and returns what it was. Raises UnitCredentialNotFound."""
        here = _here(unit, credential) & (t.unit_credential.c.application == application)
        with self._database.transaction() as connection:
            row = connection.execute(select(t.unit_credential).where(here).with_for_update()).one_or_none()
            if row is None:
                raise _not_found(unit, credential)
            if not dry_run:
                connection.execute(delete(t.unit_credential).where(here))
                announce(connection, _change(application, unit, credential))
            return UnitCredential(*row)
