"""The audit log: one JSON line an act, in the file before the act happens."""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress

import msgspec

from ssod.errors import AuditUnavailable
from ssod.service.ports import Call

# Less space than this is none (bytes).
LEAST_SPACE = 65536
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class AuditLine(msgspec.Struct):
    """`time` is UTC in nanoseconds since 1970. Names and key ids; never a value."""

    time: int
    tracking_id: str
    caller: str
    act: str
    subject: str
    key_id: str
    outcome: str


class FileAudit:
    """Appends with one write a line, so that lines of a rotated file are never cut."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._encode = msgspec.json.Encoder().encode
        self._descriptor = self._open()
        self._probe: int | None = None
        self._failed: OSError | None = None

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """After logrotate has moved the file away."""
        old, self._descriptor = self._descriptor, self._open()
        os.close(old)
        self._failed = None

    def record(self, call: Call, act: str, subject: str, key_id: str = "", outcome: str = "allowed") -> None:
        line = AuditLine(time.time_ns(), call.tracking_id, call.caller.name, act, subject, key_id, outcome)
        content = self._encode(line) + b"\n"
        try:
            written = os.write(self._descriptor, content)
        except OSError as error:
            self._failed = error
            raise AuditUnavailable(f"{self._path}: {error.strerror}", next_step="free space for the audit log") from None
        self._failed = None
        if written != len(content):
            raise AuditUnavailable(f"{self._path}: a line was cut off", next_step="free space for the audit log")

    def problem(self) -> str | None:
        """Why nothing could be recorded; None when it could. It finds a full disk before a line is lost, and leaves no trace."""
        failed = self._failed
        if failed is None or failed.errno in _NO_SPACE:
            try:
                self._reserve()
                return None
            except PermissionError:
                return None  # a log in a directory of somebody else's: there only a line that fails will tell
            except OSError as error:
                failed = error
        return f"the audit log {self._path} cannot be written: {failed.strerror}"

    def _reserve(self) -> None:
        # A line may still fit into the last block of a log on a full disk: only space that is given to us shows that there is some.
        # Beside the log, not in it: what is reserved within a file is seen by those who read it.
        if self._probe is None:
            name = f"{self._path}.probe"
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(OSError):
                os.unlink(name)
            self._probe = descriptor
        try:
            os.posix_fallocate(self._probe, 0, LEAST_SPACE)
        finally:
            os.ftruncate(self._probe, 0)

    def close(self) -> None:
        os.close(self._descriptor)
        if self._probe is not None:
            os.close(self._probe)
