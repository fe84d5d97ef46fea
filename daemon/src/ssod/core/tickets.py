"""A ticket: who asked for it and how long it lives, as docs/ticket-format.md specifies. It decides whether one still counts."""

from __future__ import annotations

from typing import Final

import msgspec

from ssod.core.access import Caller
from ssod.core.envelope import Place
from ssod.errors import UNREADABLE, TicketRejected

TEXT_PREFIX: Final = "hft1."
ID_BYTES: Final = 16
# What the clocks of two servers may differ by before a ticket seems to come from the future (seconds).
SKEW: Final = 5


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`server` is the one that issued it. Times are whole seconds since 1970."""

    id: bytes
    server: str
    caller: str
    principals: list[str]
    issued_at: int
    expires_at: int

    @property
    def holder(self) -> Caller:
        return Caller(self.caller, frozenset(self.principals))


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Ticket)


def place_of(application: str) -> Place:
    return Place(application, "ticket", "", "")


def encode(ticket: Ticket) -> bytes:
    return _encode(ticket)


def decode(plaintext: bytes) -> Ticket:
    """Raises TicketRejected for what is authentic and no ticket: another version made it."""
    try:
        ticket = _decoder.decode(plaintext)
    except UNREADABLE:
        raise TicketRejected("the ticket was made by another version") from None
    if len(ticket.id) != ID_BYTES:
        raise TicketRejected("the ticket was made by another version")
    return ticket


def check(ticket: Ticket, now: float, sender: str | None, *, validated: bool) -> None:
    """Raises TicketRejected unless the ticket counts `now`, and is its sender's. `validated`: a sender has to be named."""
    if now >= ticket.expires_at:
        raise TicketRejected(
            f"the ticket has expired, {now - ticket.expires_at:.0f} s ago",
            next_step="issue a new one; if it was new, compare the clocks of the servers",
        )
    if ticket.issued_at > now + SKEW:
        raise TicketRejected(
            f"the ticket is not yet valid: it was issued {ticket.issued_at - now:.0f} s in the future",
            next_step="compare the clocks of the servers",
        )
    if sender is None and validated:
        raise TicketRejected(
            "the application's tickets are validated, and no sender was named",
            next_step="name who sent the message that the ticket came with",
        )
    if sender is not None and sender != ticket.caller:
        raise TicketRejected("the sender is not the one whom the ticket was issued to")
