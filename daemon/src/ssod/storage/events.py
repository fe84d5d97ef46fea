"""The events that people were told of: of all servers that see one begin or end, just one is let tell it.

Times are of the database's clock.
"""

from __future__ import annotations

from sqlalchemy import delete, insert, select, update

from ssod.core.events import HOLD_OFF, Told
from ssod.core.findings import Reported, Seen
from ssod.errors import VersionConflict
from ssod.storage import schema as t
from ssod.storage.repository import Database, clock, read_environment, read_servers

# An event that has ended is forgotten after this (seconds): far longer than it is held off.
KEPT = 86_400.0


class EventRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def look(self, servers: bool) -> Seen:
        """How the environment is, with the servers or without, and what was told of it."""
        with self._database.reads() as connection:
            environment = read_environment(connection)
            reported = None
            if servers:
                reported = tuple(
                    Reported(each.name, each.may_become_master, each.key_id, each.sealed_key_id, each.last_seen)
                    for each in read_servers(connection)
                )
            told = tuple(
                Told(row.event, row.subject, row.value, row.began_at, row.ended_at)
                for row in connection.execute(select(t.told_event))
            )
            now = clock(connection)  # last: nothing that was read is of later
        current = next((key for key in environment.keys if key.key_id == environment.current_key_id), None)
        return Seen(
            now,
            environment.master,
            environment.epoch,
            environment.confirmation,
            current.key_id.hex() if current is not None else None,
            current.created_at if current is not None else None,
            environment.backup is not None,
            reported,
            told,
        )

    def begin(self, event: str, subject: str, value: str) -> Told | None:
        """Whoever is given it tells that the event has begun. None: another server does, or it ended just now (HOLD_OFF)."""
        same = (t.told_event.c.event == event, t.told_event.c.subject == subject)
        try:
            with self._database.transaction() as connection:
                now = clock(connection)
                connection.execute(delete(t.told_event).where(t.told_event.c.ended_at < now - KEPT))
                again = (
                    update(t.told_event)
                    .where(*same, t.told_event.c.ended_at <= now - HOLD_OFF)
                    .values(value=value, began_at=now, ended_at=None)
                )
                told = Told(event, subject, value, now, None)
                if connection.execute(again).rowcount == 1:
                    return told
                if connection.execute(select(t.told_event.c.event).where(*same)).first():
                    return None
                connection.execute(insert(t.told_event).values(told._asdict()))
                return told
        except VersionConflict:  # another one, at this very moment
            return None

    def end(self, told: Told) -> Told | None:
        """Whoever is given it tells that the event is over. None: another server does."""
        mine = (t.told_event.c.event == told.event, t.told_event.c.subject == told.subject)
        # Just the one that was seen to be over: this may arrive late, when the same event holds again.
        this = (*mine, t.told_event.c.began_at == told.began_at, t.told_event.c.ended_at.is_(None))
        with self._database.transaction() as connection:
            now = clock(connection)
            ended = connection.execute(update(t.told_event).where(*this).values(ended_at=now)).rowcount
        return told._replace(ended_at=now) if ended == 1 else None
