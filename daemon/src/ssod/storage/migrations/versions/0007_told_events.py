"""Which events people were told of, so that one server tells each. An older ssod tells nobody anything, and need not know of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "told_event",
        sa.Column("event", sa.String(64), primary_key=True),
        sa.Column("subject", sa.String(253), primary_key=True),
        sa.Column("value", sa.String(40), nullable=False),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
    )
