"""Since when the epoch is what it is. The database itself notes it, so that a promotion by an older ssod counts too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("environment", sa.Column("epoch_since", sa.DateTime(timezone=True)))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION ssod_note_epoch() RETURNS trigger LANGUAGE plpgsql "
            "AS $$ BEGIN NEW.epoch_since := clock_timestamp(); RETURN NEW; END $$"
        )
        op.execute(
            "CREATE TRIGGER ssod_epoch BEFORE UPDATE OF epoch ON environment FOR EACH ROW "
            "WHEN (NEW.epoch IS DISTINCT FROM OLD.epoch) EXECUTE FUNCTION ssod_note_epoch()"
        )
        return
    # The time as SQLAlchemy writes one: six digits after the second.
    op.execute(
        "CREATE TRIGGER ssod_epoch AFTER UPDATE OF epoch ON environment WHEN NEW.epoch <> OLD.epoch "
        "BEGIN UPDATE environment SET epoch_since = strftime('%Y-%m-%d %H:%M:%f000', 'now'); END"
    )
