"""The lines of an audit log: each is bound to the one before it, so that none is changed, taken out, moved or put in unseen.

A line is one JSON object of the fields of AuditLine and, last, `chain`: SHA-256 in hex over the chain of the line before it and
every byte of this line before `,"chain":`. It proves nothing against somebody who writes all later lines anew: for that there are
anchors, heads of the log that are kept where that one cannot write.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from typing import Annotated, NamedTuple

import msgspec

from ssod.errors import UNREADABLE

Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Chain = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

# How far back a line that is out of its place is looked for.
RECENT = 10_000
# The act of a line that ssod writes itself when it finds, at its start, that lines are gone which somebody knows of.
CUT = "audit log was cut"
# And when it takes back the beginning of a line, as a loss of power leaves it.
TORN = "audit log was torn"

_TAIL = re.compile(rb',"chain":"([0-9a-f]{64})"}')
_TAIL_BYTES = len(b',"chain":""}') + 64


class Head(NamedTuple):
    """The last line of a log: its number, counted from 1, and its chain."""

    sequence: Sequence
    chain: Chain


BEGINNING = Head(0, "0" * 64)


class AuditLine(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """`time` is UTC in nanoseconds since 1970. Names and key ids; never a value.

    `after` is the chain of the line before, in the first line of a file: it can be checked when that file is not there any more.
    """

    sequence: Sequence
    time: int
    tracking_id: str
    caller: str
    act: str
    subject: str
    key_id: str
    outcome: str
    after: str = ""


class ChainedLine(NamedTuple):
    """`bound` is what the chain is over, besides the chain of the line before."""

    line: AuditLine
    bound: bytes
    chain: str

    @property
    def head(self) -> Head:
        return Head(self.line.sequence, self.chain)

    def follows(self, chain: str) -> bool:
        return chain_of(chain, self.bound) == self.chain


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditLine).decode


def chain_of(before: str, bound: bytes) -> str:
    return hashlib.sha256(before.encode() + bound).hexdigest()


def write_line(line: AuditLine, before: str) -> tuple[bytes, str]:
    """The line as it is stored, its end included, and its chain."""
    bound = _encode(line)[:-1]
    chain = chain_of(before, bound)
    return b'%b,"chain":"%b"}\n' % (bound, chain.encode()), chain


def read_line(raw: bytes) -> ChainedLine | None:
    """A line without its end; None for what ssod never wrote."""
    tail = _TAIL.fullmatch(raw, max(0, len(raw) - _TAIL_BYTES))
    if tail is None:
        return None
    bound = raw[: tail.start()]
    try:
        line = _decode(bound + b"}")
    except UNREADABLE:
        return None
    return ChainedLine(line, bound, tail[1].decode())


class Checker:
    """Reads a log's lines in their order, and says of each what is wrong with it. `places` are what it calls them by."""

    def __init__(self, anchors: dict[str, Head]) -> None:
        self._anchors = anchors
        self._anchored: dict[int, list[str]] = {}
        for name, anchor in anchors.items():
            self._anchored.setdefault(anchor.sequence, []).append(name)
        self._recent: OrderedDict[int, tuple[str, str]] = OrderedDict()
        self._head: Head | None = None
        self._meant = self._place = ""
        self.first: int | None = None
        self.lines = 0

    @property
    def head(self) -> Head:
        return self._head or BEGINNING

    def read(self, place: str, raw: bytes) -> list[str]:
        """What is wrong with the line at `place`, as sentences; an empty list when nothing is."""
        self.lines += 1
        entry = read_line(raw)
        if entry is None:
            return [f"{place}: this is no line of ssod's"]
        wrong = self._place_in_chain(place, entry)
        if entry.line.act == CUT:
            wrong.append(f"{place}: ssod found lines missing when it started: {entry.line.subject}")
        wrong += [
            f"{place}: {name} knows this line by another chain: the log was written anew, from here or from before"
            for name in self._anchored.get(entry.line.sequence, ())
            if self._anchors[name].chain != entry.chain
        ]
        # Where the chain of a line was edited, and nothing else, the next one is bound to what it had been.
        self._meant = chain_of(self.head.chain, entry.bound)
        self._head, self._place = entry.head, place
        self._recent[entry.line.sequence] = (entry.chain, place)
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        return wrong

    def _place_in_chain(self, place: str, entry: ChainedLine) -> list[str]:
        sequence, before = entry.line.sequence, self._head
        if before is None:
            self.first = sequence
            chain = BEGINNING.chain if sequence == 1 else entry.line.after
            return [f"{place}: this line was edited"] if chain and not entry.follows(chain) else []
        if sequence == before.sequence + 1 and (entry.follows(before.chain) or entry.follows(self._meant)):
            return []
        chain, other = self._recent.get(sequence - 1, ("", ""))
        if other != self._place and entry.follows(chain):
            return [f"{place}: this line belongs right after {other}: what stands between was put in or moved"]
        if sequence == before.sequence + 1:
            return [f"{place}: this line was edited"]
        if sequence > before.sequence:
            return [f"{place}: before it {_lines(before.sequence + 1, sequence - 1)} missing"]
        return [f"{place}: line {sequence} stands after line {before.sequence}: it was put in or moved"]

    def end(self) -> list[str]:
        """What is missing at the end of the log."""
        return [
            f"the end is missing: {name} knows of line {anchor.sequence}, and the log ends with line {self.head.sequence}"
            for name, anchor in self._anchors.items()
            if anchor.sequence > self.head.sequence
        ]


def _lines(first: int, last: int) -> str:
    return f"line {first} is" if first == last else f"lines {first} to {last} are"
