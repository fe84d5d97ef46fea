"""What changes with the servers that are enrolled, so that a look at the database need not read them all. An older ssod need not
know of it: the database itself notes what that one enrols and removes.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# Of what servers report of themselves nothing is noted: that is most of what is written to the table.
EVENTS = ("INSERT", "DELETE", "UPDATE OF name, address, may_become_master")

NOTE_SQLITE = "UPDATE environment SET roster = lower(hex(randomblob(16)))"


def upgrade() -> None:
    op.add_column("environment", sa.Column("roster", sa.String(36)))
    if op.get_bind().dialect.name == "postgresql":
        # The schema is named within: a restore of data alone has no search path.
        op.execute(
            "CREATE FUNCTION ssod_note_roster() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
            "$$ BEGIN UPDATE environment SET roster = gen_random_uuid(); RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER ssod_roster AFTER {' OR '.join(EVENTS)} ON server "
            "FOR EACH STATEMENT EXECUTE FUNCTION ssod_note_roster()"
        )
        return
    for number, each in enumerate(EVENTS):
        op.execute(f"CREATE TRIGGER ssod_roster_{number} AFTER {each} ON server BEGIN {NOTE_SQLITE}; END")
