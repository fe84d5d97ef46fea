"""The audit log finds out that its disk is full before it loses a line, and by itself leaves no trace in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssod.core.access import Caller
from ssod.errors import AuditUnavailable
from ssod.runtime.audit import LEAST_SPACE, FileAudit
from ssod.service.ports import Call

CALL = Call(Caller("user:admin", frozenset()), "t-1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(disk)], check=True)


def test_a_disk_with_space_is_no_problem_and_is_left_as_it_was(tmp_path: Path) -> None:
    """Neither a byte in the log nor a file beside it."""
    audit = FileAudit(str(tmp_path / "audit.log"))
    audit.record(CALL, "encrypt", "app")
    content = (tmp_path / "audit.log").read_bytes()
    assert [audit.problem(), audit.problem()] == [None, None]
    assert (tmp_path / "audit.log").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["audit.log"]
    audit.close()


def test_a_full_disk_is_found_though_a_line_would_fit_yet(small_disk: Path) -> None:
    """The last block of the log has room for another line; and it is well again when there is space."""
    audit = FileAudit(str(small_disk / "audit.log"))
    audit.record(CALL, "encrypt", "app")
    assert audit.problem() is None
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    problem = audit.problem()
    assert problem is not None
    assert "No space left" in problem
    audit.record(CALL, "encrypt", "app")
    assert audit.problem() is not None
    with pytest.raises(AuditUnavailable):
        for _ in range(1000):
            audit.record(CALL, "encrypt", "app")
    filler.unlink()
    assert audit.problem() is None
    assert os.statvfs(small_disk).f_bavail * 4096 > LEAST_SPACE
    audit.close()


def test_a_log_that_failed_otherwise_is_a_problem_until_a_line_is_written(tmp_path: Path) -> None:
    """A disk that gave an error once is not trusted because it has space."""
    audit = FileAudit(str(tmp_path / "audit.log"))
    os.close(audit._descriptor)
    with pytest.raises(AuditUnavailable):
        audit.record(CALL, "encrypt", "app")
    assert "Bad file descriptor" in str(audit.problem())
    audit._descriptor = audit._open()
    audit.record(CALL, "encrypt", "app")
    assert audit.problem() is None
    audit.close()
