"""Whether an ssod can work on a database, by what that says of its schema; an older ssod knows of a newer schema only this."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, inspect, select, text

from ssod import __version__
from ssod.errors import SchemaRefused
from ssod.storage.schema import REVISION, tolerance


class Found(NamedTuple):
    """What a database says. `revision` is that of its schema, None for an empty one; `oldest` that of the oldest ssod that works on
    it, and `version` the ssod that brought it there: None before revision 0005.
    """

    revision: str | None
    oldest: str | None = None
    version: str | None = None

    @property
    def is_behind(self) -> bool:
        """Whether there are migrations to run. Revisions are numbers of one length."""
        return self.revision is None or self.revision < REVISION


def look(connection: Connection) -> Found:
    inspector = inspect(connection)
    revision = None
    if inspector.has_table("alembic_version"):
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if not inspector.has_table(tolerance.name):
        return Found(revision)
    row = connection.execute(select(tolerance)).one_or_none()
    return Found(revision) if row is None else Found(revision, row.oldest, row.version)


def refusal(found: Found, *, version: str = __version__, revision: str = REVISION) -> SchemaRefused | None:
    """Why the ssod of this version and schema does not work on the database that was found; None where it does."""
    if found.revision is None or found.revision < revision:
        return SchemaRefused(
            f"the SSO database has schema {found.revision or 'none'}, and ssod {version} needs {revision}",
            next_step="run `ssoctl database migrate` of this version, or site.yml of its release",
        )
    if found.revision == revision or (found.oldest is not None and found.oldest <= revision):
        return None
    by = f"ssod {found.version}" if found.version else "a newer ssod"
    return SchemaRefused(
        f"the SSO database has schema {found.revision}, by {by}; no ssod works on it that is older than schema"
        f" {found.oldest or found.revision}, and this is ssod {version}, of schema {revision}",
        next_step=f"install {by} again, by site.yml of its release; docs/upgrade.md says what else there is",
    )
