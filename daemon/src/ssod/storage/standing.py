"""What holds everywhere at once: who has the environment-wide roles, whether SSO is disabled, and which certificates are
refused."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from ssod.storage import schema as t
from ssod.storage.applications import read_applications
from ssod.storage.certificates import read_revoked
from ssod.storage.changes import Change, announce
from ssod.storage.records import Standing
from ssod.storage.repository import Database, aware, read_environment


def _members(connection: Connection) -> dict[str, frozenset[str]]:
    members: dict[str, set[str]] = {}
    for role, principal in connection.execute(select(t.role_member.c.role, t.role_member.c.principal)):
        members.setdefault(role, set()).add(principal)
    return {role: frozenset(principals) for role, principals in members.items()}


def _disabled_at(connection: Connection) -> datetime | None:
    moment = connection.execute(select(t.environment.c.disabled_at)).scalar_one()
    return aware(moment) if moment else None


class StandingRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Standing:
        with self._database.reads() as connection:
            return Standing(
                tuple(read_applications(connection)),
                _members(connection),
                _disabled_at(connection),
                read_revoked(connection),
            )

    def put_members(self, role: str, principals: Iterable[str]) -> frozenset[str]:
        """Replaces the members of a role by these; returns those that it had."""
        with self._database.transaction() as connection:
            read_environment(connection, lock=True)  # of two who replace them at once, the second replaces what the first wrote
            before = _members(connection).get(role, frozenset())
            connection.execute(delete(t.role_member).where(t.role_member.c.role == role))
            rows = [{"role": role, "principal": principal} for principal in sorted(set(principals))]
            if rows:
                connection.execute(insert(t.role_member), rows)
            announce(connection, Change("role", name=role))
            return before

    def put_disabled(self, moment: datetime | None) -> datetime | None:
        """Disables SSO as of `moment`, if it is not disabled already; None enables it. Returns since when it is disabled."""
        with self._database.transaction() as connection:
            statement = update(t.environment).values(disabled_at=moment)
            if moment is not None:
                statement = statement.where(t.environment.c.disabled_at.is_(None))
            connection.execute(statement)
            announce(connection, Change("sso"))
            return _disabled_at(connection)
