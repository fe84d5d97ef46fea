"""The tables of the SSO database, as SQLAlchemy Core sees them. The migrations make them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

# The revision that this version of ssod reads and writes; the newest file in migrations/versions.
REVISION = "0001"

metadata = MetaData()

environment = Table(
    "environment",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("master", String(253)),
    Column("epoch", Integer, nullable=False),
    Column("current_key_id", LargeBinary(16)),
    # When a master last confirmed its mastership, by the database's clock (seconds since 1970), and of which epoch it was.
    Column("confirmed_at", Double),
    Column("confirmed_epoch", Integer),
)

# One row a key id; the canary is a ciphertext that only this key opens. Never the key itself.
master_key = Table(
    "master_key",
    metadata,
    Column("key_id", LargeBinary(16), primary_key=True),
    Column("canary", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

backup = Table(
    "backup",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("key_id", LargeBinary(16), ForeignKey("master_key.key_id"), nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False),
    Column("place", Text, nullable=False),
    Column("protection", String(20), nullable=False),
)

# A row is the enrolment; the rest is what the server last said of itself.
server = Table(
    "server",
    metadata,
    Column("name", String(253), primary_key=True),
    Column("address", String(300), nullable=False),
    Column("may_become_master", Boolean, nullable=False),
    Column("enrolled_at", DateTime(timezone=True), nullable=False),
    Column("attached", Boolean),
    Column("key_id", String(32)),
    Column("sealed_key_id", String(32)),
    Column("epoch", Integer),
    Column("version", String(40)),
    Column("last_seen", DateTime(timezone=True)),
)

application = Table(
    "application",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("description", Text, nullable=False),
    Column("contact", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("administrators", JSON, nullable=False),
    Column("users", JSON, nullable=False),
    Column("fields", JSON, nullable=False),
    Column("version", Integer, nullable=False),
)

config = Table(
    "config",
    metadata,
    Column("application", String(128), ForeignKey("application.name"), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

config_value = Table(
    "config_value",
    metadata,
    Column("application", String(128), primary_key=True),
    Column("name", String(256), primary_key=True),
    Column("field", String(128), primary_key=True),
    Column("key_id", LargeBinary(16), ForeignKey("master_key.key_id"), nullable=False, index=True),
    Column("envelope", LargeBinary, nullable=False),
    ForeignKeyConstraint(["application", "name"], ["config.application", "config.name"]),
)
