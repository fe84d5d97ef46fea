"""Alembic's migrations of the SSO database, run by `ssoctl database migrate` and never by the daemon."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, delete, insert, text

from ssod import __version__
from ssod.errors import SchemaRefused
from ssod.storage.engine import connect
from ssod.storage.schema import REVISION, tolerance
from ssod.storage.tolerance import Found, look, refusal

# Two servers that migrate at once must not both make the tables: an arbitrary number that means this migration.
_ADVISORY_LOCK = 0x686F6C64

# The oldest schema.REVISION whose ssod works on this version's schema, beside this version or after one step back. `migrate` tells
# the database, and that the older one. Every migration after it only adds (CONTRIBUTING.md); 0002 required columns that the first
# version does not fill.
OLDEST_TOLERATED = "0002"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files(__package__)))
    config.attributes["connection"] = connection
    return config


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def pending(url: str, password_file: str | None = None, *, stopped: bool = False) -> bool:
    """Whether `migrate` would change the schema; raises what that would."""
    engine = connect(url, password_file)
    try:
        with engine.connect() as connection:
            return _must_change(look(connection), stopped)
    finally:
        engine.dispose()


def migrate(url: str, password_file: str | None = None, *, stopped: bool = False) -> bool:
    """Brings the schema to this version's; says whether anything changed. One transaction: it happens or it does not.

    A newer schema is left as it is where this version works on it. Raises SchemaRefused for one that this version does not work on,
    and for a change that the servers which run an older version could not work on, unless all of them are `stopped`.
    """
    engine = connect(url, password_file)
    try:
        return upgrade(engine, stopped=stopped)
    finally:
        engine.dispose()


def upgrade(engine: Engine, target: str = "head", *, stopped: bool = False) -> bool:
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        found = look(connection)
        if found.revision == target or (target == "head" and not _must_change(found, stopped)):
            return False
        command.upgrade(_config(connection), target)
        if target in ("head", _head()):
            connection.execute(delete(tolerance))
            connection.execute(insert(tolerance).values(one=1, oldest=OLDEST_TOLERATED, version=__version__))
        return True


def _must_change(found: Found, stopped: bool) -> bool:
    if not found.is_behind:
        refused = refusal(found)
        if refused is not None:
            raise refused
        return False
    if found.revision is not None and found.revision < OLDEST_TOLERATED and not stopped:
        raise SchemaRefused(
            f"the SSO database has schema {found.revision}, and ssod {__version__} would bring it to {REVISION}, on which no ssod"
            f" works that is older than schema {OLDEST_TOLERATED}: the servers that run now would fail",
            next_step="upgrade by way of the release between; or stop ssod everywhere and use --stopped (docs/upgrade.md)",
        )
    return True
