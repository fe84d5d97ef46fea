"""One event as Alertmanager tells it to a webhook (version 4 of that message): what listens to the one listens to the other.

It holds names, times and texts: no secret, and no key.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple

import msgspec

from ssod.core.events import KINDS

RECEIVER = "ssod"

# What Go says of a time that is not known: an event that holds has no end yet.
_NO_TIME = "0001-01-01T00:00:00Z"

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


class News(NamedTuple):
    """An event that began at `began_at`, and holds while `ended_at` is None."""

    event: str
    subject: str
    value: str
    began_at: datetime
    ended_at: datetime | None


class Origin(NamedTuple):
    """Of which environment the news is, which server tells it (HOST:PORT), and where the runbooks are."""

    environment: str
    address: str
    runbooks: str


class Alert(msgspec.Struct, frozen=True, rename="camel"):
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str
    generator_url: str = msgspec.field(name="generatorURL")
    fingerprint: str


class Message(msgspec.Struct, frozen=True, rename="camel"):
    receiver: str
    status: str
    alerts: list[Alert]
    group_labels: dict[str, str]
    common_labels: dict[str, str]
    common_annotations: dict[str, str]
    external_url: str = msgspec.field(name="externalURL")
    version: str
    group_key: str
    truncated_alerts: int


def message(news: News, origin: Origin) -> bytes:
    """The body of the request to a webhook, and what a program reads from its standard input."""
    kind = KINDS[news.event]
    group = {"alertname": news.event, "environment": origin.environment}
    labels = dict(sorted({**group, "severity": kind.severity.value, **({"server": news.subject} if news.subject else {})}.items()))
    annotations = {
        "description": kind.description,
        "runbook_url": f"{origin.runbooks.rstrip('/')}/{kind.runbook}.md",
        "summary": kind.summary.format(environment=origin.environment, server=news.subject, value=news.value),
    }
    status = "firing" if news.ended_at is None else "resolved"
    ends_at = _time(news.ended_at) if news.ended_at is not None else _NO_TIME
    url = f"https://{origin.address}"
    alert = Alert(status, labels, annotations, _time(news.began_at), ends_at, f"{url}/metrics", fingerprint(labels))
    key = "{}:{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in group.items()) + "}"
    return msgspec.json.encode(Message(RECEIVER, status, [alert], group, labels, annotations, url, "4", key, 0))


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fingerprint(labels: dict[str, str]) -> str:
    """Prometheus' own of these labels: FNV-1a of names and values, in the order of names; after each a byte that is in no text."""
    total = _FNV_OFFSET
    for name in sorted(labels):
        for byte in f"{name}\0{labels[name]}\0".encode().replace(b"\0", b"\xff"):
            total = ((total ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"
