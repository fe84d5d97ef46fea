"""Whether what a server last said of itself is still how it is."""

from __future__ import annotations

from datetime import datetime

# A server reports when something changes, and once a minute.
REPORT_SECONDS = 60.0
SILENT_SECONDS = 150.0


def is_silent(last_seen: datetime | None, now: datetime) -> bool:
    """Whether a server has said nothing for so long that it is not what it last said; one that never spoke is not known."""
    return last_seen is not None and (now - last_seen).total_seconds() > SILENT_SECONDS
