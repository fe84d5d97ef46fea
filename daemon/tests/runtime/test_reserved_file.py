"""A file of whole lines finds out that its disk is full, and goes on for as long as its reserve lasts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssod.runtime.reserved_file import STEP, ReservedFile

LINE = b"x" * 199 + b"\n"


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
    """Not a byte is in the file that nobody appended; the reserve is beside it."""
    file = ReservedFile(str(tmp_path / "lines"))
    file.append(LINE)
    assert [file.problem(), file.problem()] == [None, None]
    assert (tmp_path / "lines").read_bytes() == LINE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lines", "lines.reserve"]
    file.close()


def test_a_full_disk_is_found_and_the_reserve_is_written_to(small_disk: Path) -> None:
    """Every line is whole, hundreds of them after the disk was full; then it refuses; and is well again when there is space."""
    file = ReservedFile(str(small_disk / "lines"), reserve=2 * STEP)
    file.append(LINE)
    assert file.problem() is None
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as other:
        while True:
            other.write(bytes(4096))
    assert "No space left" in str(file.problem())
    with pytest.raises(OSError, match=r"No space left|cut off"):
        for _ in range(5000):
            file.append(LINE)
    assert "No space left" in str(file.problem())
    content = (small_disk / "lines").read_bytes()
    assert content == LINE * (len(content) // len(LINE))
    assert len(content) > 2 * STEP - len(LINE)
    filler.unlink()
    assert file.problem() is None
    assert (small_disk / "lines.reserve").stat().st_size == 2 * STEP
    file.append(LINE)
    file.close()


def test_a_file_that_failed_otherwise_is_a_problem_until_a_line_is_written(tmp_path: Path) -> None:
    """A disk that gave an error once is not trusted because it has space."""
    file = ReservedFile(str(tmp_path / "lines"))
    os.close(file._descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.append(LINE)
    assert "Bad file descriptor" in str(file.problem())
    file._descriptor = file._open()
    file.append(LINE)
    assert file.problem() is None
    file.close()


def test_what_is_in_a_file_that_was_rotated_away_is_brought_to_the_disk_too(tmp_path: Path) -> None:
    """Lines go into the new file; the old one is closed when it is on the disk."""
    file = ReservedFile(str(tmp_path / "lines"))
    file.append(LINE)
    for name in ("lines.1", "lines.2"):
        (tmp_path / "lines").rename(tmp_path / name)
        file.reopen()
        assert file.is_empty()
    left = list(file._left)
    file.sync()
    file.sync()
    for descriptor in left:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    file.append(LINE * 2)
    assert [(tmp_path / name).read_bytes() for name in ("lines.1", "lines.2", "lines")] == [LINE, b"", LINE * 2]
    file.close()
