"""Which events hold, by what a server sees: one row a fact, for each of those who may judge it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ssod.core.events import (
    CERTIFICATE_EXPIRES,
    KEY_IDS_DIFFER,
    MASTER_LOST,
    NO_KEYRING,
    NO_STANDBY,
    NOT_BACKED_UP,
    SECRET_OLD,
    SERVER_DETACHED,
    SERVER_DOWN,
    Finding,
    Thresholds,
    Told,
)
from ssod.core.findings import Own, Reported, Seen, findings
from ssod.core.silence import REPORT_SECONDS, SILENT_SECONDS
from ssod.core.states import CONFIRMATION_WINDOW

NOW = datetime(2026, 7, 1, tzinfo=UTC)
KEY, OTHER = "1" * 32, "2" * 32
OWN = Own("m1", is_enrolled=True, attached=True, acts=True, lacks_keyring=False, certificate_days=100)
PLAIN = OWN._replace(server="s1", acts=False)
M1 = Reported("m1", True, KEY, KEY, NOW)
M2 = Reported("m2", True, KEY, KEY, NOW)
S1 = Reported("s1", False, KEY, None, NOW)
SEEN = Seen(NOW.timestamp(), "m1", 3, NOW.timestamp() - 1, KEY, NOW - timedelta(days=10), True, (M1, M2, S1), ())
ALONE = SEEN._replace(servers=None)


def found(own: Own, seen: Seen | None) -> dict[tuple[str, str], Finding]:
    all_of_them = findings(own, seen, Thresholds())
    by_key = {each.key: each for each in all_of_them}
    assert len(by_key) == len(all_of_them), "one finding an event"
    return by_key


def holding(own: Own, seen: Seen | None) -> set[tuple[str, str]]:
    return {key for key, each in found(own, seen).items() if each.holds}


def test_nothing_holds_where_all_is_well() -> None:
    """And the master knows of everything that it may judge that it does not hold."""
    assert holding(OWN, SEEN) == set()
    assert set(found(OWN, SEEN)) == {
        (NO_KEYRING, "m1"),
        (CERTIFICATE_EXPIRES, "m1"),
        (SERVER_DETACHED, "m1"),
        (MASTER_LOST, ""),
        (SERVER_DOWN, "m1"),
        (SERVER_DOWN, "m2"),
        (SERVER_DOWN, "s1"),
        (NOT_BACKED_UP, ""),
        (KEY_IDS_DIFFER, ""),
        (NO_STANDBY, ""),
        (SECRET_OLD, ""),
    }


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"servers": (M1, M2._replace(last_seen=ago(SILENT_SECONDS + 1)), S1)}, {(SERVER_DOWN, "m2"), (NO_STANDBY, "")}),
        ({"servers": (M1, M2._replace(last_seen=ago(SILENT_SECONDS)), S1)}, set()),
        ({"servers": (M1._replace(last_seen=ago(10_000)), M2, S1)}, set()),
        ({"servers": (M1, M2, S1._replace(last_seen=None, key_id=None))}, set()),
        ({"servers": (M1, M2._replace(sealed_key_id=OTHER), S1)}, {(NO_STANDBY, "")}),
        ({"servers": (M1._replace(sealed_key_id=None), M2, S1)}, set()),
        ({"servers": (M1, S1)}, set()),
        ({"servers": (M1, M2, S1._replace(key_id=OTHER))}, {(KEY_IDS_DIFFER, "")}),
        ({"servers": (M1, M2, S1._replace(key_id=OTHER, last_seen=ago(10_000)))}, {(SERVER_DOWN, "s1")}),
        ({"backed_up": False}, {(NOT_BACKED_UP, "")}),
        ({"created_at": NOW - timedelta(days=365, seconds=1)}, {(SECRET_OLD, "")}),
        ({"created_at": NOW - timedelta(days=365)}, set()),
        ({"key_id": None, "created_at": None, "backed_up": False}, set()),
    ],
)
def test_what_the_master_sees_of_the_others(changed: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    """Only the master judges them: another server has none of these findings, whatever it sees."""
    seen = SEEN._replace(**changed)
    assert holding(OWN, seen) == expected
    assert not {key for key in found(PLAIN, seen) if key[0] in {SERVER_DOWN, NO_STANDBY, KEY_IDS_DIFFER, NOT_BACKED_UP, SECRET_OLD}}


def test_a_report_may_be_missed_before_a_server_counts_as_gone() -> None:
    assert SILENT_SECONDS >= 2 * REPORT_SECONDS


@pytest.mark.parametrize(
    ("changed", "lost", "held"),
    [
        ({"confirmed_at": SEEN.now - CONFIRMATION_WINDOW}, False, 0.0),
        ({"confirmed_at": SEEN.now - CONFIRMATION_WINDOW - 1}, True, CONFIRMATION_WINDOW + 1),
        ({"confirmed_at": SEEN.now + 3600}, True, 0.0),
        ({"confirmed_at": None}, True, 0.0),
        ({"master": None, "confirmed_at": None}, True, 0.0),
        ({"master": None, "confirmed_at": None, "epoch": 0}, False, 0.0),
    ],
    ids=["confirmed", "not confirmed", "the clock was set back", "stepped down", "none is named", "there never was one"],
)
@pytest.mark.parametrize("own", [OWN, PLAIN, PLAIN._replace(attached=False)], ids=["master", "attached", "detached"])
def test_whether_there_is_a_master_is_the_same_for_all(own: Own, changed: dict[str, Any], lost: bool, held: float) -> None:
    """By the database's clock, and not by who reaches whom."""
    finding = found(own, ALONE._replace(**changed))[MASTER_LOST, ""]
    assert (finding.holds, finding.held) == (lost, pytest.approx(held))


@pytest.mark.parametrize(
    ("own", "seen", "expected"),
    [
        (PLAIN, None, False),
        (PLAIN._replace(attached=False), ALONE, True),
        (PLAIN._replace(attached=False), ALONE._replace(confirmed_at=None), None),
        (PLAIN._replace(attached=False), None, None),
    ],
    ids=["attached", "detached", "there is no master", "it has not looked"],
)
def test_a_server_that_does_not_reach_the_master_says_so_while_there_is_one(
    own: Own, seen: Seen | None, expected: bool | None
) -> None:
    """Without a master none is attached, and that is told once."""
    finding = found(own, seen).get((SERVER_DETACHED, "s1"))
    assert (finding.holds if finding else None) is expected


def test_what_a_server_says_of_itself_needs_no_look_at_the_database() -> None:
    own = PLAIN._replace(lacks_keyring=True, certificate_days=20)
    assert holding(own, None) == {(NO_KEYRING, "s1"), (CERTIFICATE_EXPIRES, "s1")}
    assert found(own, None)[CERTIFICATE_EXPIRES, "s1"].value == "20"
    assert holding(own._replace(certificate_days=21, lacks_keyring=False), None) == set()


def test_a_server_that_is_not_enrolled_says_nothing_of_itself() -> None:
    """It may be about to be added, or was removed: either is no event."""
    assert found(PLAIN._replace(is_enrolled=False, certificate_days=-1), None) == {}


def test_what_was_told_of_a_server_that_was_removed_is_over() -> None:
    """It says nothing any more: the master ends it. That of an enrolled one, and of the environment, stays."""
    told = [Told(CERTIFICATE_EXPIRES, name, "3", 1.0, None) for name in ("gone", "s1")]
    told.append(Told("SsoOfANewerVersion", "gone", "", 1.0, None))
    ended = found(OWN, SEEN._replace(told=tuple(told)))
    assert ("SsoOfANewerVersion", "gone") not in ended
    assert not ended[CERTIFICATE_EXPIRES, "gone"].holds
    assert (CERTIFICATE_EXPIRES, "s1") not in ended
