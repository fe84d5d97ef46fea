"""The audit log: one JSON line an act, in the file before the act happens."""

from __future__ import annotations

import os
import time

import msgspec

from ssod.errors import AuditUnavailable
from ssod.service.ports import Call


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

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """After logrotate has moved the file away."""
        old, self._descriptor = self._descriptor, self._open()
        os.close(old)

    def record(self, call: Call, act: str, subject: str, key_id: str = "", outcome: str = "allowed") -> None:
        line = AuditLine(time.time_ns(), call.tracking_id, call.caller.name, act, subject, key_id, outcome)
        content = self._encode(line) + b"\n"
        try:
            written = os.write(self._descriptor, content)
        except OSError as error:
            raise AuditUnavailable(f"{self._path}: {error.strerror}", next_step="free space for the audit log") from None
        if written != len(content):
            raise AuditUnavailable(f"{self._path}: a line was cut off", next_step="free space for the audit log")

    def close(self) -> None:
        os.close(self._descriptor)
