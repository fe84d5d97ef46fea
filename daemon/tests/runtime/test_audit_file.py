"""The audit log's chain goes on over restarts, rotations and torn lines; and shows what was lost meanwhile."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ssod.audit_files import files_of, lines_of
from ssod.core.access import Caller
from ssod.core.audit import BEGINNING, CUT, TORN, AuditLine, Checker, Head, write_line
from ssod.errors import AuditUnavailable
from ssod.runtime.audit import FileAudit
from ssod.service.ports import Call

CALL = Call(Caller("user:admin", frozenset()), "t-1")
Open = Callable[[], FileAudit]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def opened(tmp_path: Path, log: Path) -> Open:
    """Opens the log as a start of ssod does."""
    return lambda: FileAudit(str(log), tmp_path / "anchor", reserve=0)


def record(audit: FileAudit, times: int = 3) -> None:
    for _ in range(times):
        audit.record(CALL, "encrypt", "app", "a1" * 16)


def findings(log: Path, **anchors: Head) -> list[str]:
    """What a check of the log and its rotated files finds, with names of files and not their paths."""
    checker = Checker(anchors)
    found = []
    for path in files_of(log):
        for number, raw in enumerate(lines_of(path), 1):
            found += checker.read(f"{path.name}:{number}", raw.removesuffix(b"\n"))
    return found + checker.end()


def acts(log: Path) -> list[str]:
    return [json.loads(raw)["act"] for path in files_of(log) for raw in lines_of(path)]


def test_a_line_has_the_act_and_its_place_in_the_chain(opened: Open, log: Path) -> None:
    """Everything that is known of the act; the first line of a file says what it comes after."""
    audit = opened()
    record(audit, 2)
    first, second = (json.loads(line) for line in log.read_bytes().splitlines())
    assert first.pop("time") <= second.pop("time")
    assert first == {
        "sequence": 1,
        "tracking_id": "t-1",
        "caller": "user:admin",
        "act": "encrypt",
        "subject": "app",
        "key_id": "a1" * 16,
        "outcome": "allowed",
        "after": BEGINNING.chain,
        "chain": first["chain"],
    }
    assert second["sequence"] == 2
    assert audit.head == Head(2, second["chain"])
    audit.close()


@pytest.mark.parametrize("anchored", [True, False])
def test_the_chain_goes_on_after_a_restart(opened: Open, log: Path, anchored: bool) -> None:
    """Also after a process that was killed and had no time to say where it ended."""
    for _ in range(3):
        audit = opened()
        record(audit)
        if anchored:
            audit.anchor()
        audit.close()
    assert audit.head.sequence == 9
    assert audit.findings == []
    assert findings(log, ssod=audit.head) == []


def test_the_chain_goes_on_in_a_new_file(opened: Open, log: Path, tmp_path: Path) -> None:
    """Lines that come between the move and the reload stay in the old one; numbers and chain run through all of them."""
    audit = opened()
    record(audit)
    for name in ("audit.log-20261123", "audit.log-20261124"):
        log.rename(tmp_path / name)
        record(audit, 1)
        audit.reopen()
        record(audit)
    packed = gzip.compress((tmp_path / "audit.log-20261123").read_bytes())
    (tmp_path / "audit.log-20261123").unlink()
    (tmp_path / "audit.log-20261123.gz").write_bytes(packed)
    assert [path.name for path in files_of(log)] == ["audit.log-20261123.gz", "audit.log-20261124", "audit.log"]
    assert findings(log, ssod=audit.head) == []
    assert audit.head.sequence == 11
    audit.close()


@pytest.mark.parametrize("names", [("audit.log.2.gz", "audit.log.1"), ("audit.log.2.gz", "audit.log.1.gz")])
def test_a_start_right_after_a_rotation_goes_on_where_the_old_file_ended(opened: Open, log: Path, names: tuple[str, str]) -> None:
    """The new file is empty, or is not there yet."""
    for name in names:
        audit = opened()
        record(audit)
        audit.close()
        content = log.read_bytes()
        log.with_name(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        log.unlink()
    audit = opened()
    record(audit)
    assert audit.findings == []
    assert findings(log, ssod=audit.head) == []
    audit.close()


def test_a_torn_line_is_taken_back_and_that_is_written_down(opened: Open, log: Path) -> None:
    """What a loss of power leaves at the end: the log is whole afterwards."""
    audit = opened()
    record(audit)
    audit.close()
    log.write_bytes(log.read_bytes() + b'{"sequence":4,"ti')
    audit = opened()
    assert audit.findings == [f"the audit log {log}: 17 bytes of a torn line were taken back"]
    record(audit)
    assert acts(log) == ["encrypt"] * 3 + [TORN] + ["encrypt"] * 3
    assert findings(log, ssod=audit.head) == []
    audit.close()


def test_an_end_that_was_cut_off_while_ssod_was_down_stays_visible(opened: Open, log: Path, tmp_path: Path) -> None:
    """The numbers go on after what the anchor knows of, so that the hole is found for as long as the log is kept."""
    audit = opened()
    record(audit, 5)
    audit.anchor()
    audit.close()
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:3]))
    audit = opened()
    record(audit)
    assert audit.findings == [f"the audit log {log}: it ends with line 3, and {tmp_path / 'anchor'} knows of line 5"]
    assert acts(log)[3] == CUT
    assert findings(log) == [
        "audit.log:4: before it lines 4 to 5 are missing",
        f"audit.log:4: ssod found lines missing when it started: it ends with line 3, and {tmp_path / 'anchor'} knows of line 5",
    ]
    audit.close()


def test_a_log_that_was_removed_is_missed(opened: Open, log: Path) -> None:
    audit = opened()
    record(audit)
    audit.anchor()
    audit.close()
    log.unlink()
    audit = opened()
    assert audit.head.sequence == 4
    assert len(audit.findings) == len(findings(log)) == 1
    audit.close()


def test_the_database_knows_of_lines_that_are_gone(opened: Open, log: Path) -> None:
    """With the anchor on this host gone as well. A database that was restored from an older copy is no reason to say anything."""
    audit = opened()
    record(audit, 2)
    known = audit.head
    record(audit, 3)
    assert audit.expect(known, "the SSO database") is None
    assert audit.expect(audit.head, "the SSO database") is None
    assert audit.expect(Head(5, "1" * 64), "the SSO database") is not None
    said = audit.expect(Head(60, "1" * 64), "the SSO database")
    assert said == f"the audit log {log}: it ends with line 6, and the SSO database knows of line 60"
    assert audit.head.sequence == 61
    assert findings(log)[1] == "audit.log:7: before it lines 7 to 60 are missing"
    audit.close()


def test_an_anchor_that_cannot_be_read_ends_no_start(opened: Open, tmp_path: Path) -> None:
    """It is said; and the next one is good again."""
    for content in (b"", b"\xff", b"[-1,2]", b'["a"]', b"[1,2"):
        (tmp_path / "anchor").write_bytes(content)
        audit = opened()
        assert len(audit.findings) == 1
        audit.close()
    audit = opened()
    record(audit)
    audit.anchor()
    assert audit.anchored == audit.head
    audit.close()
    assert opened().findings == []


def test_a_line_that_was_not_written_leaves_the_chain_as_it_was(opened: Open, log: Path) -> None:
    """Number and chain are those of the last line in the file."""
    audit = opened()
    record(audit)
    os.close(audit._file._descriptor)
    with pytest.raises(AuditUnavailable):
        record(audit, 1)
    audit._file._descriptor = audit._file._open()
    record(audit)
    assert audit.head.sequence == 6
    assert findings(log, ssod=audit.head) == []
    audit.close()


def test_a_line_is_copied_when_it_is_in_the_file(tmp_path: Path, log: Path) -> None:
    copies: list[tuple[AuditLine, str]] = []

    def copy(line: AuditLine, chain: str) -> None:
        assert chain in log.read_text()
        copies.append((line, chain))

    audit = FileAudit(str(log), tmp_path / "anchor", copy, reserve=0)
    record(audit, 2)
    assert [(line.sequence, line.act, chain) for line, chain in copies][1] == (2, "encrypt", audit.head.chain)
    audit.close()


def test_a_log_of_before_there_were_chains_goes_on_with_one(opened: Open, log: Path) -> None:
    """Its lines are told to be none of ours."""
    log.write_bytes(b'{"time":1,"tracking_id":"","caller":"","act":"","subject":"","key_id":"","outcome":""}\n')
    audit = opened()
    record(audit)
    assert findings(log) == ["audit.log:1: this is no line of ssod's"]
    audit.close()


def test_lines_are_written_as_they_are_read() -> None:
    content, chain = write_line(AuditLine(1, 2, "t", "c", 'a"', "sübject\n", "", "allowed"), BEGINNING.chain)
    assert content.count(b"\n") == 1
    assert json.loads(content)["chain"] == chain


def test_the_last_lines_are_at_hand_over_a_start_and_a_rotation(log: Path, opened: Open) -> None:
    """Twenty of them, oldest first; also those of files that were rotated away, compressed or not."""
    audit = opened()
    record(audit, 12)
    audit.close()
    with gzip.open(log.with_name("audit.log-20260101.gz"), "wb") as rotated:
        rotated.write(log.read_bytes())
    log.unlink()
    audit = opened()
    record(audit, 6)
    os.rename(log, log.with_name("audit.log-20260102"))
    audit.reopen()
    record(audit, 4)
    wanted = list(range(3, 23))
    assert [line.sequence for line in audit.newest] == wanted
    audit.close()
    audit = opened()
    assert [line.sequence for line in audit.newest] == wanted
    record(audit, 1)
    assert [line.sequence for line in audit.newest] == [*wanted[1:], 23]
    assert audit.newest[-1].act == "encrypt"
