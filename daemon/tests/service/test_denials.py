"""Who was refused what is in the audit log; and a caller that never rests does not fill the disk with it."""

from __future__ import annotations

from hosts import FakeAudit, FakeClock

from ssod.core.access import Caller
from ssod.errors import ApplicationDisabled, Forbidden
from ssod.service.denials import AT_ONCE, PAUSE, Denials
from ssod.service.ports import Call

MALLORY, BOB = (Call(Caller(f"user:{name}", frozenset()), "t-1") for name in ("mallory", "bob"))
REFUSAL = Forbidden("no", act="decrypt", subject="application app")


def test_a_refusal_is_noted_with_what_was_refused() -> None:
    """In the words of the refusal; or as it was asked for, where that does not say."""
    audit = FakeAudit()
    denials = Denials(audit, FakeClock())
    denials.note(MALLORY, REFUSAL, "POST /v1/decrypt")
    denials.note(BOB, ApplicationDisabled("disabled"), "POST /v1/decrypt")
    assert audit.lines == [
        ("user:mallory", "decrypt", "application app", "forbidden"),
        ("user:bob", "POST /v1/decrypt", "", "application-disabled"),
    ]


def test_a_flood_is_noted_now_and_then_with_its_size() -> None:
    """Some at once, then one in a while, which says how many were passed over; others are noted as ever."""
    audit, clock = FakeAudit(), FakeClock()
    denials = Denials(audit, clock)
    for _ in range(1000):
        denials.note(MALLORY, REFUSAL, "")
    assert len(audit.lines) == AT_ONCE
    denials.note(BOB, REFUSAL, "")
    assert len(audit.lines) == AT_ONCE + 1
    clock.seconds += PAUSE
    for _ in range(2):
        denials.note(MALLORY, REFUSAL, "")
    assert [line[3] for line in audit.lines[AT_ONCE + 1 :]] == [f"forbidden, and {1000 - AT_ONCE} more that are not noted"]
    clock.seconds += PAUSE * AT_ONCE
    for _ in range(2):
        denials.note(MALLORY, REFUSAL, "")
    assert [line[3] for line in audit.lines[AT_ONCE + 2 :]] == ["forbidden, and 1 more that are not noted", "forbidden"]


def test_a_log_that_cannot_be_written_makes_no_other_answer_of_a_refusal() -> None:
    audit = FakeAudit()
    audit.full = True
    Denials(audit, FakeClock()).note(MALLORY, REFUSAL, "")
    assert audit.lines == []
