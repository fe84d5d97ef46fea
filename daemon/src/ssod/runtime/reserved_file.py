"""A file that only whole lines are appended to, with a reserve for a disk that fills up."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress

# Kept beside the log, for the time between a disk that fills up and somebody who notices: some 80,000 lines (bytes).
RESERVE = 16 * 1024 * 1024
# What is given up of it at a time, and what has to be free besides for a disk not to be full (bytes).
STEP = 65536
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


class ReservedFile:
    """Appends with one write a line, so that lines of a rotated file are never cut.

    A full disk must not end the service of those that only read: lines then take the place of a reserve, FILE.reserve.
    """

    def __init__(self, path: str, reserve: int = RESERVE) -> None:
        self._path = path
        self._descriptor = self._open()
        # Files that were rotated away, and may not be on the disk yet.
        self._left: list[int] = []
        self._swapping = threading.Lock()
        self._size = reserve
        self._reserve: int | None = None
        self._failed: OSError | None = None
        # `problem` is asked in a thread of its own.
        self._resizing = threading.Lock()
        with suppress(OSError):  # a log in a directory of somebody else's has none; a full disk is told by `problem`
            self._reserve = os.open(f"{path}.reserve", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._fill_reserve()

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """After logrotate has moved the file away."""
        new = self._open()
        with self._swapping:
            self._left.append(self._descriptor)
            self._descriptor = new
        self._failed = None

    def is_empty(self) -> bool:
        return os.fstat(self._descriptor).st_size == 0

    def append(self, content: bytes) -> None:
        """Raises OSError, and then none of it is in the file."""
        try:
            written = self._write(content)
        except OSError as error:
            self._failed = error
            raise
        self._failed = None
        if written != len(content):
            self.take_back(written)  # the next line must be whole
            raise OSError(errno.ENOSPC, "a line was cut off")

    def take_back(self, size: int) -> None:
        """Cuts the last `size` bytes off."""
        os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - size)

    def sync(self) -> None:
        """Sees that what was appended before is on the disk. Blocks. Raises OSError."""
        with self._swapping:
            descriptors = [*self._left, os.dup(self._descriptor)]
            self._left = []
        try:
            for descriptor in descriptors:
                os.fdatasync(descriptor)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _write(self, content: bytes) -> int:
        """One write; on a full disk another one, into what the reserve gives up, of what the first one left over."""
        written = 0
        try:
            written = os.write(self._descriptor, content)
        except OSError as error:
            if error.errno not in _NO_SPACE or not self._shrink_reserve():
                raise
        if written == 0:
            return os.write(self._descriptor, content)
        if written < len(content) and self._shrink_reserve():
            with suppress(OSError):  # a line that stays cut off is taken back
                written += os.write(self._descriptor, content[written:])
        return written

    def problem(self) -> str | None:
        """Why the disk has no space for the log; None when it has. Lines are still written for as long as the reserve lasts."""
        failed = self._failed
        if self._reserve is not None and (failed is None or failed.errno in _NO_SPACE):
            try:
                self._fill_reserve()
                return None
            except OSError as error:
                failed = error
        return f"the audit log {self._path} cannot be written: {failed.strerror}" if failed else None

    def _fill_reserve(self) -> None:
        """Makes the reserve whole, and sees that there is space besides. Raises OSError."""
        assert self._reserve is not None  # noqa: S101  for the type checker: both callers have one
        with self._resizing:
            held = os.fstat(self._reserve).st_size
            try:
                os.posix_fallocate(self._reserve, 0, self._size + STEP)
                held = self._size
            finally:
                os.ftruncate(self._reserve, held)

    def _shrink_reserve(self) -> bool:
        """Gives a part of the reserve to the log; False when there is none left."""
        if self._reserve is None:
            return False
        with self._resizing:
            held = os.fstat(self._reserve).st_size
            os.ftruncate(self._reserve, max(0, held - STEP))
        return held > 0

    def close(self) -> None:
        for descriptor in (*self._left, self._descriptor):
            os.close(descriptor)
        if self._reserve is not None:
            os.close(self._reserve)
