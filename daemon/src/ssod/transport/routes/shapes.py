"""Shapes that several routes answer with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ssod.service.ports import Noticed
from ssod.service.secret import instant_text
from ssod.storage.records import Application, ServerRecord


def time_text(moment: datetime | None) -> str | None:
    return instant_text(moment) if moment else None


def server_document(server: ServerRecord) -> dict[str, Any]:
    return server._asdict() | {"last_seen": time_text(server.last_seen)}


def application_document(application: Application) -> dict[str, Any]:
    return application._asdict()


def noticed_documents(noticed: list[Noticed]) -> list[dict[str, Any]]:
    return [each._asdict() | {"seconds": round(each.seconds, 3)} for each in noticed]
