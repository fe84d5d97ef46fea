"""Shapes that several routes answer with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ssod.errors import InvalidValue
from ssod.service.ciphertexts import Ciphertexts
from ssod.service.ports import Noticed
from ssod.service.secret import instant_text
from ssod.storage.records import Application, BackupRecord, Revocation, ServerRecord
from ssod.transport.app import Request


def time_text(moment: datetime | None) -> str | None:
    return instant_text(moment) if moment else None


def entity_tags(request: Request) -> frozenset[str]:
    """What the caller says it has: the tags of its If-None-Match."""
    header = request.header(b"if-none-match")
    if header is None:
        return frozenset()
    return frozenset(tag.strip().removeprefix("W/") for tag in header.decode("latin-1").split(","))


def server_document(server: ServerRecord) -> dict[str, Any]:
    return server._asdict() | {"last_seen": time_text(server.last_seen)}


def revocation_document(revocation: Revocation) -> dict[str, Any]:
    times = {"expires_at": time_text(revocation.expires_at), "revoked_at": time_text(revocation.revoked_at)}
    return revocation._asdict() | times


def backup_document(backup: BackupRecord) -> dict[str, Any]:
    return backup._asdict() | {"key_id": backup.key_id.hex(), "verified_at": time_text(backup.verified_at)}


def application_document(application: Application) -> dict[str, Any]:
    return application._asdict()


def noticed_documents(noticed: list[Noticed]) -> list[dict[str, Any]]:
    return [each._asdict() | {"seconds": round(each.seconds, 3)} for each in noticed]


def sealed_values(ciphertexts: dict[str, str] | None, name: str, values: dict[str, str] | None) -> Ciphertexts | None:
    """The ciphertexts of a body, which cannot be given beside its values; `name` is what those are called."""
    if ciphertexts is None:
        return None
    if values is not None:
        raise InvalidValue(f"the body holds {name} and ciphertexts", next_step="give one of them")
    return Ciphertexts(ciphertexts)
