"""The copy of the audit log in systemd's journal, by its native protocol: for people, and for whoever carries it elsewhere.

It holds up no act: what the journal does not take at once is counted and dropped. The file is the log that counts.
"""

from __future__ import annotations

import socket
import struct
from collections import OrderedDict
from collections.abc import Callable

from ssod.core.audit import AuditLine

SOCKET = "/run/systemd/journal/socket"
MESSAGE_ID = "5f1c1d8e3a6b4a70b4f6e7c2a9d05e13"
NOTICE, WARNING = "5", "4"
AUTHPRIV = "10"

# What programs do all day is in the file alone.
BULK = frozenset({"encrypt", "decrypt", "selftest"})
# What they do nearly as often is told again after a while (seconds).
DISCLOSURES = frozenset(
    {
        "read configuration",
        "reveal configuration",
        "look up credentials",
        "compare credentials",
        "compare configuration",
        "load unit credential",
        "issue ticket",
        "redeem ticket",
        "list mappings",
        "read mapping",
    }
)
REPEAT_SECONDS = 60.0
REMEMBERED = 10_000
# As many at once, and then one in so many seconds, such as while mappings are loaded: a tenth of what makes journald drop all that
# a service says.
AT_ONCE = 1000
PAUSE = 1 / 32

_LENGTH = struct.Struct("<Q")


class JournalCopy:
    """Sends lines to the journal; `everything` those of bulk acts and every repetition too."""

    def __init__(self, *, everything: bool, monotonic: Callable[[], float], path: str = SOCKET) -> None:
        self._everything = everything
        self._monotonic = monotonic
        self._path = path
        self._socket: socket.socket | None = None
        self._told: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()
        self._used = float("-inf")
        self._dropped = 0

    def __call__(self, line: AuditLine, chain: str) -> None:
        if not self._everything:
            if not self._is_news(line):
                return
            now = self._monotonic()
            self._used = max(self._used, now)
            if self._used - now > (AT_ONCE - 1) * PAUSE:
                self._dropped += 1
                return
            self._used += PAUSE
        fields = {
            "MESSAGE": f"{line.caller}: {line.act} {line.subject}: {line.outcome}",
            "MESSAGE_ID": MESSAGE_ID,
            "PRIORITY": NOTICE if line.outcome == "allowed" else WARNING,
            "SYSLOG_IDENTIFIER": "ssod",
            "SYSLOG_FACILITY": AUTHPRIV,
            "HOLDFAST_CALLER": line.caller,
            "HOLDFAST_ACT": line.act,
            "HOLDFAST_SUBJECT": line.subject,
            "HOLDFAST_KEY_ID": line.key_id,
            "HOLDFAST_OUTCOME": line.outcome,
            "HOLDFAST_TRACKING_ID": line.tracking_id,
            "HOLDFAST_SEQUENCE": str(line.sequence),
            "HOLDFAST_CHAIN": chain,
            "HOLDFAST_DROPPED": str(self._dropped),
        }
        entry = b"".join(_field(name, value.encode()) for name, value in fields.items())
        self._dropped = 0 if self._send(entry) or self._send(entry) else self._dropped + 1

    def _send(self, entry: bytes) -> bool:
        """Whether the journal has taken it. One that has gone away is connected to anew by the next try."""
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect(self._path)
            self._socket.send(entry)
        except BlockingIOError:
            return False
        except OSError:
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            return False
        return True

    def _is_news(self, line: AuditLine) -> bool:
        if line.act in BULK:
            if line.outcome == "allowed":
                return False
        elif line.act not in DISCLOSURES:
            return True
        what, now = (line.caller, line.act, line.subject, line.outcome), self._monotonic()
        if now - self._told.get(what, float("-inf")) < REPEAT_SECONDS:
            return False
        self._told[what] = now
        self._told.move_to_end(what)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return True


def _field(name: str, value: bytes) -> bytes:
    """A value with a line end in it comes with its length, so that it cannot make a field of its own."""
    if b"\n" in value:
        return b"%b\n%b%b\n" % (name.encode(), _LENGTH.pack(len(value)), value)
    return b"%b=%b\n" % (name.encode(), value)
