"""Which ssod works on this database, for one that is older than its schema. `migrate` writes the row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "tolerance",
        sa.Column("one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
        sa.Column("oldest", sa.String(20), nullable=False),
        sa.Column("version", sa.String(40), nullable=False),
    )
