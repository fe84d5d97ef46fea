"""Whether a ticket still counts, and what is no ticket: as docs/ticket-format.md has it."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssod.core import tickets
from ssod.core.access import Caller
from ssod.core.tickets import SKEW, Ticket
from ssod.errors import TicketRejected

NOW = 1_000_000
TICKET = Ticket(bytes(16), "s1", "user:alice", ["group:staff", "user:alice"], NOW, NOW + 120)


def test_a_ticket_is_what_the_specification_says() -> None:
    assert json.loads(tickets.encode(TICKET)) == {
        "id": "AAAAAAAAAAAAAAAAAAAAAA==",
        "server": "s1",
        "caller": "user:alice",
        "principals": ["group:staff", "user:alice"],
        "issued_at": NOW,
        "expires_at": NOW + 120,
    }
    assert tickets.decode(tickets.encode(TICKET)) == TICKET
    assert tickets.place_of("app") == ("app", "ticket", "", "")
    assert TICKET.holder == Caller("user:alice", frozenset({"group:staff", "user:alice"}))


@pytest.mark.parametrize("now", [NOW - SKEW, NOW, NOW + 119.9])
def test_within_its_time_a_ticket_counts(now: float) -> None:
    tickets.check(TICKET, now, None, validated=False)
    tickets.check(TICKET, now, "user:alice", validated=True)
    tickets.check(TICKET, now, "user:alice", validated=False)


@pytest.mark.parametrize(
    ("now", "sender", "validated", "reason"),
    [
        (NOW + 120, None, False, "expired, 0 s ago"),
        (NOW + 500, "user:alice", True, "expired, 380 s ago"),
        (NOW - SKEW - 1, None, False, "not yet valid"),
        (NOW, None, True, "no sender was named"),
        (NOW, "user:bob", True, "not the one"),
        (NOW, "user:bob", False, "not the one"),
        (NOW, "", False, "not the one"),
        (NOW, "user:Alice", True, "not the one"),
    ],
)
def test_a_ticket_that_does_not_count_says_why(now: float, sender: str | None, validated: bool, reason: str) -> None:
    with pytest.raises(TicketRejected, match=reason):
        tickets.check(TICKET, now, sender, validated=validated)


@pytest.mark.parametrize(
    "change",
    [{"id": "AAAA"}, {"id": "!"}, {"more": 1}, {"issued_at": "now"}, {"expires_at": 1.5}, {"principals": None}, {"caller": 7}],
)
def test_what_another_version_made_is_rejected(change: dict[str, object]) -> None:
    with pytest.raises(TicketRejected, match="another version"):
        tickets.decode(msgspec.json.encode(json.loads(tickets.encode(TICKET)) | change))


@given(st.binary(max_size=100))
def test_whatever_was_sealed_it_is_a_ticket_or_rejected(plaintext: bytes) -> None:
    with suppress(TicketRejected):
        tickets.decode(plaintext)
