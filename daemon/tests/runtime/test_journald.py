"""The journal has a copy of what people want to hear of; and holds up nothing."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssod.core.audit import AuditLine
from ssod.runtime.journald import AT_ONCE, REPEAT_SECONDS, JournalCopy


class Journal:
    """A socket as journald has it, and the clock of who writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 100.0
        self.listen()

    def listen(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)

    def copy(self, *, everything: bool = False) -> JournalCopy:
        return JournalCopy(everything=everything, monotonic=lambda: self.now, path=str(self.path))

    def entries(self) -> list[dict[str, str]]:
        found = []
        while True:
            try:
                found.append(parse(self._socket.recv(65536)))
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()
        self.path.unlink()


def parse(data: bytes) -> dict[str, str]:
    """By systemd's description of the native protocol."""
    fields = {}
    while data:
        first, _, data = data.partition(b"\n")
        name, is_text, value = first.partition(b"=")
        if not is_text:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "s")
    yield made
    made.close()


def line(act: str, outcome: str = "allowed", subject: str = "billing/db", caller: str = "user:alice") -> AuditLine:
    return AuditLine(7, 1, "t-1", caller, act, subject, "a1" * 16, outcome)


def test_an_act_is_told_with_its_fields(journal: Journal) -> None:
    journal.copy()(line("change configuration"), "c" * 64)
    (entry,) = journal.entries()
    assert entry.pop("MESSAGE_ID")
    assert entry == {
        "MESSAGE": "user:alice: change configuration billing/db: allowed",
        "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "ssod",
        "SYSLOG_FACILITY": "10",
        "HOLDFAST_CALLER": "user:alice",
        "HOLDFAST_ACT": "change configuration",
        "HOLDFAST_SUBJECT": "billing/db",
        "HOLDFAST_KEY_ID": "a1" * 16,
        "HOLDFAST_OUTCOME": "allowed",
        "HOLDFAST_TRACKING_ID": "t-1",
        "HOLDFAST_SEQUENCE": "7",
        "HOLDFAST_CHAIN": "c" * 64,
        "HOLDFAST_DROPPED": "0",
    }


def test_what_programs_do_all_day_is_not_told(journal: Journal) -> None:
    """Unless everything is. What they were refused, and what they read by name, is told once a minute."""
    copy = journal.copy()
    for _ in range(3):
        copy(line("decrypt"), "")
        copy(line("decrypt", "forbidden"), "")
        copy(line("reveal configuration"), "")
        copy(line("reveal configuration", caller="user:bob"), "")
        copy(line("change configuration"), "")
    acts = [entry["HOLDFAST_ACT"] for entry in journal.entries()]
    assert acts == ["decrypt", "reveal configuration", "reveal configuration", *["change configuration"] * 3]
    journal.now += REPEAT_SECONDS
    copy(line("reveal configuration"), "")
    assert len(journal.entries()) == 1
    everything = journal.copy(everything=True)
    for _ in range(3):
        everything(line("decrypt"), "")
    assert len(journal.entries()) == 3


def test_a_name_cannot_make_a_field_of_its_own(journal: Journal) -> None:
    """A line end in a value is a part of the value."""
    journal.copy()(line("delete configuration", subject="app/x\nPRIORITY=0\nHOLDFAST_CALLER=user:bob"), "")
    (entry,) = journal.entries()
    assert entry["HOLDFAST_SUBJECT"] == "app/x\nPRIORITY=0\nHOLDFAST_CALLER=user:bob"
    assert (entry["PRIORITY"], entry["HOLDFAST_CALLER"]) == ("5", "user:alice")


def test_a_journal_that_takes_nothing_is_not_waited_for(journal: Journal) -> None:
    """A full queue, or none who listens: the next entry that passes says how many did not."""
    copy = journal.copy()
    for _ in range(500):
        copy(line("change configuration"), "")
    taken = len(journal.entries())
    assert 0 < taken < 500
    journal.close()
    copy(line("change configuration"), "")
    journal.listen()
    for dropped in (501 - taken, 0):
        copy(line("change configuration"), "")
        (entry,) = journal.entries()
        assert entry["HOLDFAST_DROPPED"] == str(dropped)


def test_a_load_of_mappings_is_not_told_line_by_line(journal: Journal) -> None:
    """What journald would take for a flood, and then drop all that ssod says; how many were left out is told."""
    copy, told = journal.copy(), 0
    for _ in range(AT_ONCE + 500):
        copy(line("change mapping"), "")
        told += len(journal.entries())
    assert told == AT_ONCE
    journal.now += 1.0
    copy(line("change mapping"), "")
    assert journal.entries()[0]["HOLDFAST_DROPPED"] == "500"
