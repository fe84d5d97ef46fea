"""Reads what a command is given, and writes private files that are either whole and on the disk, or not there."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssod.cli.errors import UsageRefused

STANDARD_INPUT = Path("-")


def read_input(path: Path, what: str) -> bytes:
    """The bytes of a file, or of standard input for `-`. `what` names it in the refusal."""
    try:
        return sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except OSError as error:
        raise UsageRefused(f"cannot read {what} {path}: {error.strerror}", next_step="name a file that you may read") from None


def read_line_file(path: Path, what: str) -> str:
    """One line of text, such as a passphrase: one line end after it is dropped, nothing else is."""
    try:
        text = read_input(path, what).decode()
    except UnicodeDecodeError:
        raise UsageRefused(f"{what} {path} is not UTF-8 text") from None
    line = text[:-1] if text.endswith("\n") else text
    line = line.removesuffix("\r")
    if not line or "\n" in line:
        raise UsageRefused(f"{what} {path} must hold exactly one line", next_step="write it with: printf '%s\\n' ...")
    return line


def is_readable_by_others(path: Path) -> bool:
    """Of regular files only: a pipe such as `<(pass show backup)` is nobody else's."""
    status = path.stat()
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & (stat.S_IRGRP | stat.S_IROTH))


def refuse_bad_target(path: Path) -> None:
    """Found out before anything is asked or made: a directory that is absent, or closed to us."""
    if path.is_dir():
        raise UsageRefused(f"{path} is a directory", next_step="name a file")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageRefused(f"cannot write into {path.parent}", next_step="name a directory that exists and that you may write to")


@contextmanager
def prepared(target: Path, data: bytes) -> Iterator[Path]:
    """A private file (0600) beside `target` that is on the disk; gone at the end, unless it was published."""
    path = temporary_name(target)
    try:
        _write(path, data)
        yield path
    except OSError as error:
        raise UsageRefused(f"cannot write {target}: {error.strerror}", next_step="the old file, if any, is as it was") from None
    finally:
        path.unlink(missing_ok=True)


def temporary_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")


def publish(path: Path, target: Path) -> None:
    """Gives a prepared file its name, at once and for good."""
    os.replace(path, target)
    sync(target.parent)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_back(path: Path) -> bytes:
    """The bytes as the disk gives them: the pages that were just written are dropped from memory first."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
