"""Alembic's migrations of the SSO database, run by `ssoctl database migrate` and never by the daemon."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from ssod.storage.engine import connect

# Two servers that migrate at once must not both make the tables: an arbitrary number that means this migration.
_ADVISORY_LOCK = 0x686F6C64

# The oldest schema.REVISION whose ssod works on this version's schema, beside this version or after one step back. Every migration
# after it only adds (CONTRIBUTING.md); 0002 required columns that the first version does not fill.
OLDEST_TOLERATED = "0002"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files(__package__)))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def pending(url: str, password_file: str | None = None) -> bool:
    """Whether the schema is older than this version's."""
    engine = connect(url, password_file)
    try:
        with engine.connect() as connection:
            return _revision(connection) != _head()
    finally:
        engine.dispose()


def migrate(url: str, password_file: str | None = None) -> bool:
    """Brings the schema to this version's; says whether anything changed. One transaction: it happens or it does not."""
    engine = connect(url, password_file)
    try:
        return upgrade(engine)
    finally:
        engine.dispose()


def upgrade(engine: Engine, target: str = "head") -> bool:
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        before = _revision(connection)
        if before == (_head() if target == "head" else target):
            return False
        command.upgrade(_config(connection), target)
        return True
