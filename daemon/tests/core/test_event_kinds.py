"""What is an event, from when on, and what of it is due to be told: as tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from ssod.core.events import (
    CERTIFICATE_EXPIRES,
    HOLD_OFF,
    KINDS,
    MASTER_LOST,
    SECRET_OLD,
    Finding,
    Since,
    Thresholds,
    Told,
    due,
    is_settled,
    ripen,
)

ROLE = Path(__file__).parents[3] / "roles" / "monitoring"
NOW = 1_000_000.0
HOLDS, OVER = Finding(MASTER_LOST, "", True), Finding(MASTER_LOST, "", False)
OPEN = Told(MASTER_LOST, "", "", NOW - 100, None)


def rules() -> dict[str, Any]:
    """The alerts of the role `monitoring`, with its defaults."""
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    environment = jinja2.Environment(variable_start_string="[[", variable_end_string="]]", undefined=jinja2.StrictUndefined)  # noqa: S701  YAML
    rendered = environment.from_string((ROLE / "templates/rules.yml.j2").read_text()).render(defaults)
    return {rule["alert"]: rule for rule in yaml.safe_load(rendered)["groups"][0]["rules"]}


def seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]


def words(summary: str) -> str:
    """A rule's summary as `Kind` writes it."""
    summary = re.sub(r"{{ \$labels\.(\w+) }}", r"{\1}", summary).replace("{{ $value }}", "{value}")
    return summary.replace("365", "{value}")


def test_events_are_the_alerts() -> None:
    """Names, severities, times, words and runbooks; but that of two masters, which the database cannot show."""
    alerts = rules()
    assert alerts.keys() - KINDS.keys() == {"SsoTwoMasters"}
    assert KINDS.keys() <= alerts.keys()
    for name, kind in KINDS.items():
        rule = alerts[name]
        assert rule["labels"]["severity"] == kind.severity
        assert words(rule["annotations"]["summary"]) == kind.summary
        assert rule["annotations"]["description"] == kind.description
        assert rule["annotations"]["runbook_url"].endswith(f"/{kind.runbook}.md")
        assert kind.held == seconds(rule["for"])
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    assert Thresholds() == (
        defaults["sso_alert_master_lost_seconds"],
        defaults["sso_alert_certificate_days"],
        defaults["sso_alert_secret_days"],
    )


def ripe(since: Since, finding: Finding, now: float) -> tuple[Since, bool]:
    after, found = ripen(since, [finding], now, Thresholds())
    return after, bool(found)


def test_what_holds_counts_after_its_time_and_not_before() -> None:
    """15 s for a lost master; what does not hold counts at once."""
    since, counts = ripe({}, HOLDS, 10.0)
    assert not counts
    since, counts = ripe(since, HOLDS, 24.9)
    assert not counts
    since, counts = ripe(since, HOLDS, 25.0)
    assert counts
    assert ripe(since, OVER, 26.0) == ({}, True)


@pytest.mark.parametrize("broken", [[OVER], []], ids=["it did not hold", "it was not known"])
def test_time_begins_anew_after_a_break(broken: list[Finding]) -> None:
    """As Prometheus has it: it must hold without a break."""
    since, _ = ripe({}, HOLDS, 10.0)
    since, _ = ripen(since, broken, 20.0, Thresholds())
    since, counts = ripe(since, HOLDS, 24.0)
    assert not counts
    assert ripe(since, HOLDS, 39.0)[1]


def test_what_is_known_to_have_held_already_counts_the_sooner() -> None:
    """But not at first sight: what is to confirm something after the database was away may be just about to."""
    known = HOLDS._replace(held=1000.0)
    since, counts = ripe({}, known, 10.0)
    assert not counts
    assert ripe(since, known, 10.1)[1]
    assert not ripe({HOLDS.key: 10.0}, HOLDS._replace(held=14.9), 15.0)[1]
    assert ripe({HOLDS.key: 10.0}, HOLDS._replace(held=15.0), 15.0)[1]


def test_each_server_has_a_time_of_its_own() -> None:
    first, second = Finding(CERTIFICATE_EXPIRES, "m1", True, value="3"), Finding(CERTIFICATE_EXPIRES, "m2", True, value="4")
    since, _ = ripen({}, [first], 0.0, Thresholds())
    _, counting = ripen(since, [first, second], 300.0, Thresholds())
    assert counting == (first,)


def test_the_time_of_a_lost_master_is_a_setting() -> None:
    for seconds_held, expected in ((15.9, 0), (16.0, 1)):
        _, counting = ripen({HOLDS.key: 0.0}, [HOLDS], seconds_held, Thresholds(master_lost_after=16))
        assert len(counting) == expected
    assert Thresholds(master_lost_after=16).held(SECRET_OLD) == 3600


@pytest.mark.parametrize(
    ("finding", "told", "is_due", "settled"),
    [
        (HOLDS, None, True, False),
        (OVER, None, False, True),
        (HOLDS, OPEN, False, True),
        (OVER, OPEN, True, False),
        (HOLDS, OPEN._replace(ended_at=NOW - HOLD_OFF + 0.1), False, False),
        (HOLDS, OPEN._replace(ended_at=NOW - HOLD_OFF), True, False),
        (OVER, OPEN._replace(ended_at=NOW - 1), False, True),
        (HOLDS._replace(subject="m1"), OPEN, True, False),
        (OVER._replace(event=SECRET_OLD), OPEN, False, True),
    ],
)
def test_what_is_due(finding: Finding, told: Told | None, is_due: bool, settled: bool) -> None:
    """What began and was not told; what is over and was told; what flaps is held off, and is not settled meanwhile."""
    known = [told] if told is not None else []
    found = due([finding], known, NOW)
    assert [each.finding for each in found] == ([finding] if is_due else [])
    assert all(each.told == (None if finding.holds else told) for each in found)
    assert is_settled([finding], known) is settled
