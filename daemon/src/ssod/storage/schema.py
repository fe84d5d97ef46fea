"""The tables of the SSO database, as SQLAlchemy Core sees them. The migrations make them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
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
    UniqueConstraint,
)

# The revision that this version of ssod reads and writes; the newest file in migrations/versions.
REVISION = "0008"

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
    # Since when SSO is disabled: nobody is given anything, anywhere. NULL while it is enabled.
    Column("disabled_at", DateTime(timezone=True)),
    # Another random text since each change of which servers are enrolled, and at which address: whoever has read the servers beside
    # this one need not read them again. A trigger writes it, so that the ssod of an older version does too. NULL before the first.
    Column("roster", String(36)),
    # Since when the epoch is this one, by the database's clock. A trigger writes it; NULL until there is a next epoch.
    Column("epoch_since", DateTime(timezone=True)),
)

# One row a key id; the canary is a ciphertext that only this key opens. Never the key itself.
master_key = Table(
    "master_key",
    metadata,
    Column("key_id", LargeBinary(16), primary_key=True),
    Column("canary", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # Since when it is not the current one any more; NULL for the current one.
    Column("retired_at", DateTime(timezone=True)),
)

# A row while a rotation is being prepared: the secret that is to be current next, and its verified backup once there is one. It is
# none of the keys above: no row may be sealed under it yet, and a keyring without it is whole.
next_key = Table(
    "next_key",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("key_id", LargeBinary(16), nullable=False),
    Column("canary", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("sha256", String(64)),
    Column("verified_at", DateTime(timezone=True)),
    Column("place", Text),
    Column("protection", String(20)),
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
    # The last line of the server's audit log when it last reported: a log that ends before it was cut.
    Column("audit_sequence", BigInteger),
    Column("audit_head", String(64)),
)

# The certificates that enrolled servers have shown, by the SHA-256 of their public key and their serial number, both in hex; and
# which of them, or of a program's, every server refuses. Kept until they have expired.
certificate = Table(
    "certificate",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("serial", String(40), primary_key=True),
    Column("name", String(253), nullable=False, index=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
)

# Who has an environment-wide role, beside those whom a server's own configuration file names.
role_member = Table(
    "role_member",
    metadata,
    Column("role", String(40), primary_key=True),
    Column("principal", String(300), primary_key=True),
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
    Column("type", String(20), nullable=False),
    Column("flags", JSON, nullable=False),
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

# A principal's account outside. `exclusive_id` is `external_id` where an account belongs to one principal only, else NULL.
mapping = Table(
    "mapping",
    metadata,
    Column("application", String(128), ForeignKey("application.name"), primary_key=True),
    Column("principal", String(300), primary_key=True),
    Column("external_id", String(512), nullable=False),
    Column("exclusive_id", String(512)),
    Column("position", Integer, nullable=False),
    Column("disabled_by_user", Boolean, nullable=False),
    Column("disabled_by_administrator", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("exclusive_id", "application"),
)

mapping_value = Table(
    "mapping_value",
    metadata,
    Column("application", String(128), primary_key=True),
    Column("principal", String(300), primary_key=True),
    Column("field", String(128), primary_key=True),
    Column("key_id", LargeBinary(16), ForeignKey("master_key.key_id"), nullable=False, index=True),
    Column("envelope", LargeBinary, nullable=False),
    ForeignKeyConstraint(["application", "principal"], ["mapping.application", "mapping.principal"]),
)

# Tickets that may be redeemed once and have been; a row is of no use after `expires_at`.
redeemed_ticket = Table(
    "redeemed_ticket",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
)

# Which value a systemd unit is given under which name: the grant, and where the value lives.
unit_credential = Table(
    "unit_credential",
    metadata,
    Column("unit", String(256), primary_key=True),
    Column("credential", String(256), primary_key=True),
    Column("application", String(128), ForeignKey("application.name"), nullable=False, index=True),
    Column("config", String(256), nullable=False),
    Column("field", String(128), nullable=False),
)

# What people were told of, once in the environment however many servers see it: an event, and the server that it is about, "" for
# the environment. Its times are of the database's clock (seconds since 1970); `ended_at` is NULL while it holds.
told_event = Table(
    "told_event",
    metadata,
    Column("event", String(64), primary_key=True),
    Column("subject", String(253), primary_key=True),
    Column("value", String(40), nullable=False),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
)

# One row, as the version that made this schema left it: the oldest REVISION whose ssod works on it, and which version of ssod that
# was. Every older one reads it, so the table stays as it is for good (storage/tolerance.py).
tolerance = Table(
    "tolerance",
    metadata,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("oldest", String(20), nullable=False),
    Column("version", String(40), nullable=False),
)
