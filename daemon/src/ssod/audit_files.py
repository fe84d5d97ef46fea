"""The files of an audit log: which belong to it, in which order, and where they end."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ssod.core.audit import AuditLine, Head, read_line

# Far longer than any line: how much of a file's end is read at a time to find the last one (bytes).
CHUNK = 65536


def files_of(log: Path) -> list[Path]:
    """The log and what logrotate made of it (`.1`, `.2.gz`, `-20261123`), oldest first. Raises OSError."""
    rotated = [
        path
        for path in log.parent.iterdir()
        if path.name.startswith((f"{log.name}.", f"{log.name}-")) and path.name[len(log.name) + 1 :].removesuffix(".gz").isdigit()
    ]
    return in_order([*rotated, *([log] if log.exists() else [])])


def in_order(files: list[Path]) -> list[Path]:
    """Oldest first, by the lines in them: names and times of files are changed more easily. Raises OSError."""
    return sorted(files, key=lambda path: (_first_sequence(path), path.stat().st_mtime))


def lines_of(path: Path) -> Iterator[bytes]:
    """Each line with its end, which a torn one has not. Raises OSError, EOFError or zlib.error for a file that is damaged."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield from file


def _first_sequence(path: Path) -> int:
    for raw in lines_of(path):
        entry = read_line(raw.rstrip(b"\n"))
        if entry is not None:
            return entry.line.sequence
    return 0


def newest_rotated(log: Path) -> Head | None:
    """Where the newest of the rotated files ends; None when there is none, or it has no line. Raises as lines_of."""
    rotated = [path for path in files_of(log) if path != log]
    return last_of(rotated[-1]) if rotated else None


def last_of(path: Path) -> Head | None:
    """The head of the last line that is one, whatever stands after it. Raises as lines_of."""
    if path.suffix != ".gz":
        return next((entry.head for raw in _backwards(path) if (entry := read_line(raw))), None)
    last = None
    for raw in lines_of(path):
        last = read_line(raw.rstrip(b"\n")) or last
    return last.head if last else None


def newest_lines(log: Path, count: int) -> list[AuditLine]:
    """The last `count` lines of the log and of what was rotated away, oldest first. Raises as lines_of."""
    found: list[AuditLine] = []
    for path in _newest_first(log):
        raw = reversed(list(lines_of(path))) if path.suffix == ".gz" else _backwards(path)
        entries = (read_line(each.rstrip(b"\n")) for each in raw)
        found += islice((entry.line for entry in entries if entry is not None), count - len(found))
        if len(found) >= count:
            break
    return found[::-1]


def _newest_first(log: Path) -> Iterator[Path]:
    """The rotated ones, of which there are many, are only looked at by who wants more than the log itself."""
    if log.exists():
        yield log
    yield from reversed([path for path in files_of(log) if path != log])


def torn_bytes(path: Path) -> int:
    """How many bytes stand after the last line end. Raises OSError."""
    return len(next(_backwards(path)))


def _backwards(path: Path) -> Iterator[bytes]:
    """What stands between the line ends of a file, from its last one on."""
    with path.open("rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest = b""
        while position > 0:
            size = min(CHUNK, position)
            position = file.seek(position - size)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from reversed(lines)
        yield rest
