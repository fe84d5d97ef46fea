"""The audit log finds out that its disk is full, and goes on for as long as its reserve lasts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssod.core.access import Caller
from ssod.errors import AuditUnavailable
from ssod.runtime.audit import STEP, FileAudit
from ssod.service.ports import Call

CALL = Call(Caller("user:admin", frozenset()), "t-1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=512k", "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(disk)], check=True)


def test_a_disk_with_space_is_no_problem(tmp_path: Path) -> None:
    """Not a byte is in the log that nobody recorded; the reserve is beside it."""
    audit = FileAudit(str(tmp_path / "audit.log"))
    audit.record(CALL, "encrypt", "app")
    content = (tmp_path / "audit.log").read_bytes()
    assert [audit.problem(), audit.problem()] == [None, None]
    assert (tmp_path / "audit.log").read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.log", "audit.log.reserve"]
    audit.close()


def test_a_full_disk_is_found_and_the_reserve_is_written_to(small_disk: Path) -> None:
    """Every line is whole, hundreds of them after the disk was full; then it refuses; and is well again when there is space."""
    audit = FileAudit(str(small_disk / "audit.log"), reserve=2 * STEP)
    audit.record(CALL, "encrypt", "app")
    assert audit.problem() is None
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert "No space left" in str(audit.problem())
    with pytest.raises(AuditUnavailable):
        for _ in range(5000):
            audit.record(CALL, "encrypt", "app")
    assert "No space left" in str(audit.problem())
    lines = [json.loads(line) for line in (small_disk / "audit.log").read_bytes().splitlines()]
    assert len(lines) > 2 * STEP // 200
    filler.unlink()
    assert audit.problem() is None
    assert (small_disk / "audit.log.reserve").stat().st_size == 2 * STEP
    audit.record(CALL, "encrypt", "app")
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
