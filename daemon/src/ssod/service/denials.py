"""Notes in the audit log who was refused what; so often for each caller, that a flood of them does not fill the disk."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from ssod.errors import AuditUnavailable, Forbidden
from ssod.service.ports import Audit, Call, Clock

# As many at once, and then one in so many seconds: 2 MB a day for a caller that never rests.
AT_ONCE = 20
PAUSE = 10.0
# Of an act that is told as it was asked for: a path can be long.
ACT_LENGTH = 200
# Callers that are remembered; those who have not been refused for the longest time are forgotten first.
REMEMBERED = 10_000


class Denials:
    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        # For each caller: until when what it has used up weighs on it, and how many were not noted since the last one that was.
        self._used: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def note(self, call: Call, refusal: Forbidden, act: str) -> None:
        """`act` is what was asked for, where the refusal itself does not say. The refusal stands, noted or not."""
        now = self._clock.monotonic()
        until, passed_over = self._used.pop(call.caller.name, (now, 0))
        until = max(until, now)
        if until - now > (AT_ONCE - 1) * PAUSE:
            self._used[call.caller.name] = (until, passed_over + 1)
            return
        outcome = f"{refusal.problem}, and {passed_over} more that are not noted" if passed_over else refusal.problem
        with suppress(AuditUnavailable):  # `problem` of the log says so
            self._audit.record(call, refusal.act or act[:ACT_LENGTH], refusal.subject, outcome=outcome)
        self._used[call.caller.name] = (until + PAUSE, 0)
        if len(self._used) > REMEMBERED:
            self._used.popitem(last=False)
