"""What one line of the audit log costs: as JSON alone, chained, and with its copy in the journal.

python benchmarks/audit.py [DIRECTORY]
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from ssod.core.access import Caller
from ssod.core.audit import AuditLine
from ssod.runtime.audit import FileAudit, no_copy
from ssod.runtime.journald import JournalCopy
from ssod.runtime.reserved_file import ReservedFile
from ssod.service.ports import Call

CALL = Call(Caller("user:alice", frozenset()), "5f3a9c01-123456")
KEY_ID = "a1" * 16
LINES, ROUNDS = 5000, 30


def best(write: Callable[[], None]) -> float:
    """Microseconds of one call, in the best of many rounds: others use this host too."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(LINES):
            write()
        seconds.append(time.perf_counter() - started)
    return min(seconds) / LINES * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as name:
        root = Path(name)
        plain, encode = ReservedFile(str(root / "plain"), 0), msgspec.json.Encoder().encode

        def unchained() -> None:
            line = AuditLine(1, time.time_ns(), CALL.tracking_id, CALL.caller.name, "decrypt", "billing", KEY_ID, "allowed")
            plain.append(encode(line) + b"\n")

        print(f"as JSON alone      {best(unchained):6.2f} us a line")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.bind(str(root / "journal"))
        journal = JournalCopy(everything=False, monotonic=time.monotonic, path=str(root / "journal"))
        for what, copy, act in (
            ("chained", no_copy, "decrypt"),
            ("with the journal", journal, "decrypt"),
            ("of a disclosure", journal, "reveal configuration"),
        ):
            audit = FileAudit(str(root / what), root / "anchor", copy, 0)
            print(f"{what:18} {best(lambda audit=audit, act=act: audit.record(CALL, act, 'billing', KEY_ID)):6.2f} us a line")  # type: ignore[misc]
            audit.close()
            (root / "anchor").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
