"""The certificates that servers have shown, and those that are refused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "certificate",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(253), nullable=False, index=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
    )
