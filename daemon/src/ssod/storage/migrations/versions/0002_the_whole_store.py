"""Roles, application types and flags, credential mappings, tickets, units' credentials, and where each audit log ends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("environment", sa.Column("disabled_at", sa.DateTime(timezone=True)))
    # Added empty, filled, then required: SQLite and PostgreSQL agree on no other way without a default that stays.
    op.add_column("application", sa.Column("type", sa.String(20)))
    op.add_column("application", sa.Column("flags", sa.JSON))
    application = sa.table("application", sa.column("type"), sa.column("flags", sa.JSON))
    op.execute(sa.update(application).values(type="config_store", flags={}))
    with op.batch_alter_table("application") as table:
        table.alter_column("type", existing_type=sa.String(20), nullable=False)
        table.alter_column("flags", existing_type=sa.JSON, nullable=False)
    op.add_column("server", sa.Column("audit_sequence", sa.BigInteger))
    op.add_column("server", sa.Column("audit_head", sa.String(64)))
    op.create_table(
        "role_member",
        sa.Column("role", sa.String(40), primary_key=True),
        sa.Column("principal", sa.String(300), primary_key=True),
    )
    op.create_table(
        "mapping",
        sa.Column("application", sa.String(128), sa.ForeignKey("application.name"), primary_key=True),
        sa.Column("principal", sa.String(300), primary_key=True),
        sa.Column("external_id", sa.String(512), nullable=False),
        sa.Column("exclusive_id", sa.String(512)),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("disabled_by_user", sa.Boolean, nullable=False),
        sa.Column("disabled_by_administrator", sa.Boolean, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("exclusive_id", "application"),
    )
    op.create_table(
        "mapping_value",
        sa.Column("application", sa.String(128), primary_key=True),
        sa.Column("principal", sa.String(300), primary_key=True),
        sa.Column("field", sa.String(128), primary_key=True),
        sa.Column("key_id", sa.LargeBinary(16), sa.ForeignKey("master_key.key_id"), nullable=False, index=True),
        sa.Column("envelope", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["application", "principal"], ["mapping.application", "mapping.principal"]),
    )
    op.create_table(
        "redeemed_ticket",
        sa.Column("id", sa.LargeBinary(16), primary_key=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "unit_credential",
        sa.Column("unit", sa.String(256), primary_key=True),
        sa.Column("credential", sa.String(256), primary_key=True),
        sa.Column("application", sa.String(128), sa.ForeignKey("application.name"), nullable=False, index=True),
        sa.Column("config", sa.String(256), nullable=False),
        sa.Column("field", sa.String(128), nullable=False),
    )
