"""The first schema, and the environment's one row with an id of its own."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    environment = op.create_table(
        "environment",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("master", sa.String(253)),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("current_key_id", sa.LargeBinary(16)),
        sa.Column("confirmed_at", sa.Double),
        sa.Column("confirmed_epoch", sa.Integer),
    )
    op.create_table(
        "master_key",
        sa.Column("key_id", sa.LargeBinary(16), primary_key=True),
        sa.Column("canary", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "backup",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.LargeBinary(16), sa.ForeignKey("master_key.key_id"), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("protection", sa.String(20), nullable=False),
    )
    op.create_table(
        "server",
        sa.Column("name", sa.String(253), primary_key=True),
        sa.Column("address", sa.String(300), nullable=False),
        sa.Column("may_become_master", sa.Boolean, nullable=False),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attached", sa.Boolean),
        sa.Column("key_id", sa.String(32)),
        sa.Column("sealed_key_id", sa.String(32)),
        sa.Column("epoch", sa.Integer),
        sa.Column("version", sa.String(40)),
        sa.Column("last_seen", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "application",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("contact", sa.Text, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("administrators", sa.JSON, nullable=False),
        sa.Column("users", sa.JSON, nullable=False),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_table(
        "config",
        sa.Column("application", sa.String(128), sa.ForeignKey("application.name"), primary_key=True),
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "config_value",
        sa.Column("application", sa.String(128), primary_key=True),
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("field", sa.String(128), primary_key=True),
        sa.Column("key_id", sa.LargeBinary(16), sa.ForeignKey("master_key.key_id"), nullable=False, index=True),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["application", "name"], ["config.application", "config.name"]),
    )
    op.bulk_insert(environment, [{"one": 1, "id": str(uuid.uuid4()), "master": None, "epoch": 0, "current_key_id": None}])
