"""Time, as the host has it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ssod.core.states import Instant


class SystemClock:
    """Durations by CLOCK_BOOTTIME: a host that was suspended finds its confirmations as old as they are."""

    def now(self) -> Instant:
        return Instant(self.monotonic(), datetime.now(UTC))

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
