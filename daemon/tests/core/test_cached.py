"""How long a cache is of use: by its own authenticated age, and never longer for a clock that was turned back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ssod.core.cached import CLOCK_SLACK, TooOld, Vouched, aged, seconds_left, vouched_now
from ssod.core.states import Instant

HOUR = 3600.0
AT = 1_800_000_000.0


def at(seconds: float) -> Instant:
    return Instant(0.0, datetime.fromtimestamp(AT + seconds, UTC))


@pytest.mark.parametrize(
    ("seen", "now", "left"),
    [(0, 0, HOUR), (0, 600, HOUR - 600), (0, HOUR - 1, 1), (900, 600 + 300, HOUR - 900), (900, 900 - CLOCK_SLACK, HOUR - 900)],
)
def test_it_is_of_use_for_what_is_left(seen: float, now: float, left: float) -> None:
    """By the clock, or by how long it is known to have been used, whichever is more."""
    assert seconds_left(Vouched(AT, AT + seen), HOUR, at(now)) == left


@pytest.mark.parametrize(("seen", "now"), [(0, HOUR), (0, 10 * HOUR), (HOUR, HOUR - 10)])
def test_it_is_refused_from_its_end_on(seen: float, now: float) -> None:
    with pytest.raises(TooOld, match=r"at 2027-01-15T08:00:00Z, and sealing\.cache_max_age is 3600 s"):
        seconds_left(Vouched(AT, AT + seen), HOUR, at(now))


def test_a_clock_that_was_turned_back_gives_no_more_time() -> None:
    with pytest.raises(TooOld, match="set the clock"):
        seconds_left(Vouched(AT, AT + 600), HOUR, at(600 - CLOCK_SLACK - 1))


def test_use_is_counted_whatever_the_clock_says() -> None:
    fresh = vouched_now(at(0))
    assert fresh.age == 0
    assert aged(fresh, 50).age == 50
    assert aged(aged(fresh, 50), 20).age == 50
