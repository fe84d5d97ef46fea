"""Refuses certificates within a transaction that does more than that: whoever removes a server revokes what it had."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, select, update

from ssod.storage import schema as t
from ssod.storage.changes import Change, announce

_COLUMNS = t.certificate.c


def revoke_all_of(connection: Connection, name: str, now: datetime) -> None:
    """Every certificate that is known of a name, and with it every other of the same key."""
    forget_expired(connection, now)
    keys = select(_COLUMNS.key).where(_COLUMNS.name == name)
    connection.execute(update(t.certificate).where(_COLUMNS.key.in_(keys), _COLUMNS.revoked_at.is_(None)).values(revoked_at=now))
    announce(connection, Change("certificate", name=name))


def forget_expired(connection: Connection, now: datetime) -> None:
    """TLS refuses them by itself."""
    connection.execute(delete(t.certificate).where(_COLUMNS.expires_at < now))
