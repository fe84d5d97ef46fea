"""The audit log: one JSON line an act, bound to the line before it, in the file before the act happens."""

from __future__ import annotations

import os
import time
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from ssod.audit_files import last_of, newest_lines, newest_rotated, torn_bytes
from ssod.core.access import Caller
from ssod.core.audit import BEGINNING, CUT, TORN, AuditLine, Head, write_line
from ssod.errors import UNREADABLE, AuditUnavailable
from ssod.runtime.reserved_file import RESERVE, ReservedFile
from ssod.service.ports import Call

# Lines that are kept at hand for those who look.
KEPT = 20

# Who is named for what the log says of itself.
_ITSELF = Call(Caller("ssod", frozenset()), "")

Copy = Callable[[AuditLine, str], None]


def no_copy(_line: AuditLine, _chain: str) -> None:
    pass


class FileAudit:
    """`anchor` is a file that keeps where the log ended when it was last known to be on the disk. `copy` is given each line.

    `findings` are what was wrong with the log when it was opened, as sentences.
    """

    def __init__(self, path: str, anchor: Path, copy: Copy = no_copy, reserve: int = RESERVE) -> None:
        self._path = path
        self._anchor = anchor
        self._copy = copy
        self._file = ReservedFile(path, reserve)
        self._fresh = self._file.is_empty()
        self.findings: list[str] = []
        self._head: tuple[int, str] = self._last()
        self._newest = deque(self._lines_before(), KEPT)
        self.anchored: Head | None = None
        torn = torn_bytes(Path(path))
        if torn:
            self._file.take_back(torn)
            self._find(TORN, f"{torn} bytes of a torn line were taken back")
        known = self._read_anchor()
        if known is not None:
            self.expect(known, str(anchor))

    @property
    def head(self) -> Head:
        return Head(*self._head)

    @property
    def newest(self) -> list[AuditLine]:
        """The last KEPT lines, oldest first."""
        return list(self._newest)

    def record(self, call: Call, act: str, subject: str, key_id: str = "", outcome: str = "allowed") -> None:
        sequence, before = self._head
        line = AuditLine(sequence + 1, time.time_ns(), call.tracking_id, call.caller.name, act, subject, key_id, outcome)
        if self._fresh:
            line.after = before
        content, chain = write_line(line, before)
        try:
            self._file.append(content)
        except OSError as error:
            raise AuditUnavailable(f"{self._path}: {error.strerror}", next_step="free space for the audit log") from None
        self._head = (sequence + 1, chain)
        self._fresh = False
        self._newest.append(line)
        self._copy(line, chain)

    def problem(self) -> str | None:
        return self._file.problem()

    def expect(self, known: Head, by: str) -> str | None:
        """Compares the log with a head of it that is known elsewhere. What is missing leaves a hole in the numbers, and is said."""
        sequence, chain = self._head
        if known.sequence < sequence or known == self._head:
            return None
        if known.sequence == sequence:
            return self._find(CUT, f"line {sequence} is another than {by} knows")
        # A log that is gone altogether goes on after what is known; one that was cut shows where.
        self._head = (known.sequence, known.chain if sequence == 0 else chain)
        return self._find(CUT, f"it ends with line {sequence}, and {by} knows of line {known.sequence}")

    def reopen(self) -> None:
        """After logrotate has moved the file away."""
        self._file.reopen()
        self._fresh = self._file.is_empty()

    def anchor(self) -> None:
        """Sees that the log is on the disk as far as it goes now, and keeps where it ends. Blocks. Raises OSError."""
        head = self.head
        self._file.sync()
        if head != self.anchored:
            temporary = self._anchor.with_name(f"{self._anchor.name}.new")
            temporary.write_bytes(msgspec.json.encode(head))
            os.replace(temporary, self._anchor)
            self.anchored = head

    def close(self) -> None:
        self._file.close()

    def _last(self) -> Head:
        """Where the log goes on: after its last line, or after that of the file that was rotated away."""
        try:
            return last_of(Path(self._path)) or newest_rotated(Path(self._path)) or BEGINNING
        except (OSError, EOFError, zlib.error) as error:
            self.findings.append(f"the audit log {self._path} cannot be read back: {error}")
            return BEGINNING

    def _lines_before(self) -> list[AuditLine]:
        try:
            return newest_lines(Path(self._path), KEPT)
        except (OSError, EOFError, zlib.error):
            return []  # `_last` has said so, where it matters

    def _read_anchor(self) -> Head | None:
        try:
            return msgspec.json.decode(self._anchor.read_bytes(), type=Head)
        except FileNotFoundError:
            return None
        except (OSError, *UNREADABLE) as error:
            self.findings.append(f"the audit log's anchor {self._anchor} cannot be read: {error}")
            return None

    def _find(self, act: str, what: str) -> str:
        with suppress(AuditUnavailable):  # said in the journal at least
            self.record(_ITSELF, act, what)
        sentence = f"the audit log {self._path}: {what}"
        self.findings.append(sentence)
        return sentence
