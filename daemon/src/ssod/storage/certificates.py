"""Certificates in the SSO database: those that enrolled servers have shown, and those that every server refuses.

A certificate is refused by its public key, so that one which was renewed, or is yet to be found, is refused with it. A row goes
when the certificate has expired: TLS refuses it from then on.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from ssod.errors import LastCertificate, RevocationNotFound
from ssod.storage import schema as t
from ssod.storage.changes import Change, announce
from ssod.storage.records import Certificate, Revocation
from ssod.storage.repository import Database, aware
from ssod.storage.revoking import forget_expired

_COLUMNS = t.certificate.c


def read_revoked(connection: Connection) -> tuple[Revocation, ...]:
    """Every certificate that is refused, in the order of their names."""
    statement = select(t.certificate).where(_COLUMNS.revoked_at.is_not(None)).order_by(_COLUMNS.name, _COLUMNS.key, _COLUMNS.serial)
    return tuple(
        Revocation(row.name, row.key, row.serial, aware(row.expires_at), aware(row.revoked_at))
        for row in connection.execute(statement)
    )


class CertificateRepository:
    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, certificate: Certificate, now: datetime) -> bool:
        """An enrolled server shows this certificate; of others nothing is noted. Says whether it is known now."""
        with self._database.transaction() as connection:
            # Locked: of two that note the same, the second finds it; and nothing is noted of one that is just being removed.
            server = select(t.server.c.name).where(t.server.c.name == certificate.name).with_for_update()
            enrolled = connection.execute(server).one_or_none()
            if enrolled is None or _is_known(connection, certificate):
                return enrolled is not None
            forget_expired(connection, now)
            # A renewed certificate of a key that is refused is refused as well.
            refused = select(func.min(_COLUMNS.revoked_at)).where(_COLUMNS.key == certificate.key)
            revoked_at = connection.execute(refused).scalar_one()
            connection.execute(insert(t.certificate).values(**certificate._asdict(), revoked_at=revoked_at))
            return True

    def revoke(self, certificate: Certificate, now: datetime) -> None:
        """Has every server refuse it and every other of its key. Raises LastCertificate for the only one of an enrolled server."""
        with self._database.transaction() as connection:
            holders = select(_COLUMNS.name).where(_COLUMNS.key == certificate.key, _COLUMNS.revoked_at.is_(None))
            for name in sorted({certificate.name, *connection.execute(holders).scalars()}):
                _refuse_last(connection, name, certificate.key)
            if not _is_known(connection, certificate):
                connection.execute(insert(t.certificate).values(certificate._asdict()))
            forget_expired(connection, now)
            connection.execute(
                update(t.certificate).where(_COLUMNS.key == certificate.key, _COLUMNS.revoked_at.is_(None)).values(revoked_at=now)
            )
            announce(connection, Change("certificate", name=certificate.name))

    def restore(self, key: str) -> None:
        """Takes a revocation back. Raises RevocationNotFound."""
        with self._database.transaction() as connection:
            refused = (_COLUMNS.key == key, _COLUMNS.revoked_at.is_not(None))
            name = connection.execute(select(func.min(_COLUMNS.name)).where(*refused)).scalar_one()
            if name is None:
                raise RevocationNotFound(
                    f"no certificate with the key {key} is refused", next_step="list them with `ssoctl servers revoked`"
                )
            connection.execute(update(t.certificate).where(*refused).values(revoked_at=None))
            announce(connection, Change("certificate", name=name))


def _is_known(connection: Connection, certificate: Certificate) -> bool:
    same = select(_COLUMNS.key).where(_COLUMNS.key == certificate.key, _COLUMNS.serial == certificate.serial)
    return connection.execute(same).one_or_none() is not None


def _refuse_last(connection: Connection, name: str, key: str) -> None:
    if connection.execute(select(t.server.c.name).where(t.server.c.name == name)).one_or_none() is None:
        return
    others = select(func.count()).where(_COLUMNS.name == name, _COLUMNS.key != key, _COLUMNS.revoked_at.is_(None))
    shown = select(func.count()).where(_COLUMNS.name == name, _COLUMNS.key == key)
    if connection.execute(shown).scalar_one() and not connection.execute(others).scalar_one():
        raise LastCertificate(
            f"{name} is an enrolled server, and this is the only certificate that is known of it",
            next_step=f"remove the server (remove_server.yml, or `ssoctl servers remove {name}`), which revokes it too",
        )
