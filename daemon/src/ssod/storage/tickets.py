"""Which single-use tickets have been redeemed, on any server, until their time is over anyway."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from ssod.storage import schema as t
from ssod.storage.repository import Database

# Kept for so long after it has expired: a server whose clock is behind must not take it for unused.
KEPT = timedelta(hours=1)


class TicketRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def redeem(self, identifier: bytes, expires_at: datetime, now: datetime) -> bool:
        """Says whether it is the first time. Of two servers at the same moment one is told so; the other gets VersionConflict."""
        with self._database.transaction() as connection:
            connection.execute(delete(t.redeemed_ticket).where(t.redeemed_ticket.c.expires_at < now - KEPT))
            if connection.execute(select(t.redeemed_ticket.c.id).where(t.redeemed_ticket.c.id == identifier)).first():
                return False
            connection.execute(insert(t.redeemed_ticket).values(id=identifier, expires_at=expires_at))
            return True

    def take_back(self, identifier: bytes) -> None:
        """As if it had not been redeemed."""
        with self._database.transaction() as connection:
            connection.execute(delete(t.redeemed_ticket).where(t.redeemed_ticket.c.id == identifier))
