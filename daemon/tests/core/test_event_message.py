"""The message about an event has every member that Alertmanager documents, each of its type, and no other."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ssod.core.alertmanager import News, Origin, fingerprint, message
from ssod.core.events import KINDS

ORIGIN = Origin("prod", "m1.example:7443", "https://wiki.example/runbooks/")
BEGAN, ENDED = datetime(2026, 1, 2, 3, 4, 5, 600000, UTC), datetime(2026, 1, 2, 3, 5, tzinfo=UTC)

# prometheus.io/docs/alerting/latest/configuration/#webhook_config
TEXTS = dict[str, str]
DOCUMENTED = {
    "version": str,
    "groupKey": str,
    "truncatedAlerts": int,
    "status": str,
    "receiver": str,
    "groupLabels": dict,
    "commonLabels": dict,
    "commonAnnotations": dict,
    "externalURL": str,
    "alerts": list,
}
DOCUMENTED_ALERT = {
    "status": str,
    "labels": dict,
    "annotations": dict,
    "startsAt": str,
    "endsAt": str,
    "generatorURL": str,
    "fingerprint": str,
}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def said(event: str, subject: str = "", *, value: str = "", ended: datetime | None = None) -> Any:
    return json.loads(message(News(event, subject, value, BEGAN, ended), ORIGIN))


@pytest.mark.parametrize("ended", [None, ENDED], ids=["firing", "resolved"])
@pytest.mark.parametrize("event", KINDS)
def test_it_has_what_is_documented_and_nothing_else(event: str, ended: datetime | None) -> None:
    document = said(event, "m1", value="3", ended=ended)
    assert {name: type(value) for name, value in document.items()} == DOCUMENTED
    (alert,) = document["alerts"]
    assert {name: type(value) for name, value in alert.items()} == DOCUMENTED_ALERT
    assert (document["version"], document["truncatedAlerts"]) == ("4", 0)
    assert document["status"] == alert["status"] == ("firing" if ended is None else "resolved")
    assert document["commonLabels"] == alert["labels"]
    assert document["commonAnnotations"] == alert["annotations"]
    assert document["groupLabels"].items() <= alert["labels"].items()
    for texts in (alert["labels"], alert["annotations"]):
        assert all(isinstance(text, str) and text for text in texts.values())
        assert not any("{" in text for text in texts.values())
    for time in (alert["startsAt"], alert["endsAt"]):
        assert RFC3339.fullmatch(time)


def test_what_is_of_a_server_names_it_and_what_is_of_the_environment_none() -> None:
    document = said("SsoCertificateExpires", "m1", value="3")
    assert document["commonLabels"] == {
        "alertname": "SsoCertificateExpires",
        "environment": "prod",
        "server": "m1",
        "severity": "warning",
    }
    assert document["commonAnnotations"] == {
        "description": "When it has, no other server lets it in.",
        "runbook_url": "https://wiki.example/runbooks/certificate-expires.md",
        "summary": "the certificate of m1 of prod expires in 3 days",
    }
    assert "server" not in said("SsoMasterLost")["commonLabels"]


def test_an_event_that_holds_has_no_end() -> None:
    """As Go writes a time that is not known."""
    (holds,), (over,) = said("SsoMasterLost")["alerts"], said("SsoMasterLost", ended=ENDED)["alerts"]
    assert (holds["startsAt"], holds["endsAt"]) == ("2026-01-02T03:04:05.600000Z", "0001-01-01T00:00:00Z")
    assert over["endsAt"] == "2026-01-02T03:05:00.000000Z"
    assert holds["fingerprint"] == over["fingerprint"]


def test_a_name_with_quotes_stays_a_name() -> None:
    document = json.loads(message(News("SsoMasterLost", "", "", BEGAN, None), ORIGIN._replace(environment='a"b{summary}')))
    assert document["groupKey"] == '{}:{alertname="SsoMasterLost", environment="a\\"b{summary}"}'
    assert document["commonAnnotations"]["summary"].startswith('a"b{summary} has no master')


def test_labels_that_differ_have_another_fingerprint() -> None:
    """Also those that read the same when written one after the other."""
    all_of_them = [{"a": "bc"}, {"ab": "c"}, {"a": "b", "c": ""}, {"a": "b"}, {}]
    assert len({fingerprint(labels) for labels in all_of_them}) == len(all_of_them)
