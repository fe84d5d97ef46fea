"""The secret that is to be the next current one, and since when a key is retired. An older ssod sees neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "next_key",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("key_id", sa.LargeBinary(16), nullable=False),
        sa.Column("canary", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("verified_at", sa.DateTime(timezone=True)),
        sa.Column("place", sa.Text),
        sa.Column("protection", sa.String(20)),
    )
    op.add_column("master_key", sa.Column("retired_at", sa.DateTime(timezone=True)))
