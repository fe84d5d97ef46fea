"""Whatever is done to a log of lines, the check finds it, and says at which line."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssod.core.audit import BEGINNING, AuditLine, Checker, Head, chain_of, read_line, write_line

COUNT = 12


def make(count: int = COUNT, first: int = 1, before: str = BEGINNING.chain) -> list[bytes]:
    lines = []
    for sequence in range(first, first + count):
        line = AuditLine(sequence, 1_000 + sequence, f"t-{sequence}", "user:alice", "decrypt", "app", "a1" * 16, "allowed")
        if sequence == first:
            line.after = before
        content, before = write_line(line, before)
        lines.append(content[:-1])
    return lines


GOOD = make()
ENTRIES = [entry for raw in GOOD if (entry := read_line(raw))]


def check(lines: list[bytes], **anchors: Head) -> list[str]:
    checker = Checker(anchors)
    return [finding for number, raw in enumerate(lines, 1) for finding in checker.read(str(number), raw)] + checker.end()


def forge(sequence: int, before: str, subject: str = "forged") -> bytes:
    return write_line(AuditLine(sequence, 1, "t", "user:mallory", "decrypt", subject, "", "allowed"), before)[0][:-1]


def test_a_good_log_is_good() -> None:
    assert check(GOOD, ssod=ENTRIES[-1].head, database=ENTRIES[3].head) == []


def test_the_chain_is_what_the_documentation_says() -> None:
    """Recomputed without our code: SHA-256 over the chain before, and the bytes before `,"chain":`."""
    before = "0" * 64
    for raw in GOOD:
        before = hashlib.sha256(before.encode() + raw.partition(b',"chain":')[0]).hexdigest()
        assert json.loads(raw)["chain"] == before


@pytest.mark.parametrize("at", range(COUNT))
def test_an_edited_line_is_found(at: int) -> None:
    """Another caller in it: this line, and no other, is told."""
    lines = list(GOOD)
    lines[at] = lines[at].replace(b"user:alice", b"user:mallo")
    assert check(lines) == [f"{at + 1}: this line was edited"]


@pytest.mark.parametrize("at", range(COUNT))
def test_an_edited_chain_is_found(at: int) -> None:
    lines = list(GOOD)
    lines[at] = lines[at][:-66] + b"0" * 64 + b'"}'
    assert check(lines) == [f"{at + 1}: this line was edited"]


@pytest.mark.parametrize("at", range(1, COUNT - 1))
@pytest.mark.parametrize("count", [1, 2])
def test_lines_that_were_taken_out_are_found(at: int, count: int) -> None:
    lines = GOOD[:at] + GOOD[at + count :]
    missing = f"line {at + 1} is" if count == 1 else f"lines {at + 1} to {at + 2} are"
    assert check(lines, ssod=ENTRIES[-1].head) in (
        [f"{at + 1}: before it {missing} missing"],
        [f"the end is missing: ssod knows of line {COUNT}, and the log ends with line {at}"],
    )


@pytest.mark.parametrize("at", range(1, COUNT))
def test_a_line_that_was_put_in_is_found(at: int) -> None:
    """Also one whose chain is right: the line after it is bound to the one before."""
    lines = [*GOOD[:at], forge(at + 1, ENTRIES[at - 1].chain), *GOOD[at:]]
    assert check(lines) == [f"{at + 2}: this line belongs right after {at}: what stands between was put in or moved"]
    lines[at] = forge(at + 1, "1" * 64)
    assert check(lines)[0] == f"{at + 1}: this line was edited"
    assert len(check(lines)) == 2


def test_lines_that_changed_places_are_found() -> None:
    lines = [*GOOD[:3], GOOD[4], GOOD[3], *GOOD[5:]]
    assert check(lines) == [
        "4: before it line 4 is missing",
        "5: this line belongs right after 3: what stands between was put in or moved",
        "6: this line belongs right after 4: what stands between was put in or moved",
    ]


def test_a_copy_of_a_line_is_found() -> None:
    assert check([*GOOD[:6], GOOD[2], *GOOD[6:]]) == [
        "7: this line belongs right after 2: what stands between was put in or moved",
        "8: this line belongs right after 6: what stands between was put in or moved",
    ]


def test_an_end_that_was_cut_off_is_found_by_each_anchor() -> None:
    """By those that know of more lines; one that knows of less has nothing to say."""
    found = check(GOOD[:6], ssod=ENTRIES[-1].head, database=ENTRIES[7].head, anchor=ENTRIES[4].head)
    assert found == [
        "the end is missing: ssod knows of line 12, and the log ends with line 6",
        "the end is missing: database knows of line 8, and the log ends with line 6",
    ]
    assert check([], ssod=ENTRIES[0].head) == ["the end is missing: ssod knows of line 1, and the log ends with line 0"]


def test_a_log_that_was_written_anew_is_found_by_an_anchor() -> None:
    """Every chain in it is right; the one that was noted elsewhere is not among them."""
    anew = [forge(1, BEGINNING.chain)]
    while len(anew) < COUNT:
        last = read_line(anew[-1])
        assert last is not None
        anew.append(forge(last.head.sequence + 1, last.chain))
    assert check(anew) == []
    found = check(anew, database=ENTRIES[7].head)
    assert found == ["8: database knows this line by another chain: the log was written anew, from here or from before"]


def test_the_beginning_of_a_log_whose_older_files_are_gone_is_checked_too() -> None:
    """Its first line says what it comes after."""
    later = make(first=100, before="7" * 64)
    assert check(later) == []
    later[0] = later[0].replace(b"user:alice", b"user:mallo")
    assert check(later) == ["1: this line was edited"]


@pytest.mark.parametrize("junk", [b"", b"{}", b"null", b"junk", b'{"chain":"' + b"0" * 64 + b'"}', GOOD[3][:-1], GOOD[3] + b" "])
def test_what_is_no_line_is_told_and_the_rest_is_checked_on(junk: bytes) -> None:
    assert check([*GOOD[:4], junk, *GOOD[4:]]) == ["5: this is no line of ssod's"]


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(GOOD)), max_size=20))
def test_a_check_never_fails_otherwise(lines: list[bytes]) -> None:
    """Whatever the bytes: sentences, and nothing is raised."""
    assert all(isinstance(finding, str) for finding in check(lines, ssod=Head(3, "0" * 64)))


@given(st.integers(0, COUNT - 1), st.data())
def test_no_changed_byte_is_passed_over(at: int, data: st.DataObject) -> None:
    """Any byte of any line, changed to any other."""
    position = data.draw(st.integers(0, len(GOOD[at]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda each: each != GOOD[at][position] and each != 10))
    lines = list(GOOD)
    lines[at] = GOOD[at][:position] + bytes([byte]) + GOOD[at][position + 1 :]
    assert check(lines, ssod=ENTRIES[-1].head) != []


def test_the_chain_is_of_text_and_bytes() -> None:
    assert chain_of("0" * 64, b"{") == hashlib.sha256(b"0" * 64 + b"{").hexdigest()
