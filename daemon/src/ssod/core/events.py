"""The events that people are told of where there is no Prometheus: which there are, and which of them is due to be told.

They are the alerts of roles/monitoring/templates/rules.yml.j2, by the same names, severities, times and words; a test compares
the two. What holds is decided in core/findings.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

# An event that is over, and holds again within this many seconds, is not told before they have passed: what flaps makes no storm.
HOLD_OFF = 60.0


class Severity(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"


class Kind(NamedTuple):
    """`held` is for how many seconds it must hold before it is told. `summary` may name {environment}, {server} and {value}."""

    severity: Severity
    held: float
    summary: str
    description: str
    runbook: str


MASTER_LOST = "SsoMasterLost"
SERVER_DOWN = "SsoServerDown"
SERVER_DETACHED = "SsoServerDetached"
NO_KEYRING = "SsoNoKeyring"
DATABASE_UNREACHABLE = "SsoDatabaseUnreachable"
NO_STANDBY = "SsoNoPromotableStandby"
NOT_BACKED_UP = "SsoNotBackedUp"
KEY_IDS_DIFFER = "SsoKeyIdsDiffer"
CERTIFICATE_EXPIRES = "SsoCertificateExpires"
SECRET_OLD = "SsoSecretOld"  # noqa: S105  the name of an event

# SsoTwoMasters is not among them: the database names one master, so no ssod can see two. Only who asks every server can.
KINDS = {
    MASTER_LOST: Kind(
        Severity.CRITICAL,
        15,  # unless `Thresholds` says otherwise
        "{environment} has no master: nothing new can be encrypted",
        "Everything that runs goes on decrypting. Bring the master back, or promote a standby.",
        "master-lost",
    ),
    SERVER_DOWN: Kind(
        Severity.CRITICAL,
        60,
        "the SSO server {server} of {environment} does not answer",
        "The programs of that host can neither encrypt nor decrypt, if ssod is down; they can, if only the network is.",
        "server-down",
    ),
    SERVER_DETACHED: Kind(
        Severity.WARNING,
        120,
        "{server} of {environment} does not reach the master",
        "It decrypts from its cache, and encrypts nothing.",
        "server-detached",
    ),
    NO_KEYRING: Kind(
        Severity.CRITICAL,
        60,
        "{server} of {environment} holds no keyring: it can decrypt nothing",
        "It was started while it reached no master, and keeps no copy of its own.",
        "server-detached",
    ),
    DATABASE_UNREACHABLE: Kind(
        Severity.CRITICAL,
        60,
        "{server} of {environment} does not reach the SSO database",
        "What is cached goes on; nothing else does.",
        "database-unreachable",
    ),
    NO_STANDBY: Kind(
        Severity.WARNING,
        300,
        "no standby of {environment} could be promoted now",
        "None that answers has a current sealed copy of the keyring.",
        "no-standby",
    ),
    NOT_BACKED_UP: Kind(
        Severity.CRITICAL,
        300,
        "the master secret of {environment} has no verified backup",
        "Nothing is encrypted under it until there is one.",
        "not-backed-up",
    ),
    KEY_IDS_DIFFER: Kind(
        Severity.CRITICAL,
        180,
        "servers of {environment} hold different master secrets",
        "One of them did not get the news of a rotation or a restore.",
        "key-ids-differ",
    ),
    CERTIFICATE_EXPIRES: Kind(
        Severity.WARNING,
        300,
        "the certificate of {server} of {environment} expires in {value} days",
        "When it has, no other server lets it in.",
        "certificate-expires",
    ),
    SECRET_OLD: Kind(
        Severity.WARNING,
        3600,
        "the master secret of {environment} is older than {value} days",
        "Rotate it when it suits you; everything goes on meanwhile.",
        "secret-old",
    ),
}


class Thresholds(NamedTuple):
    """In seconds, days and days, as the variables of the role `monitoring` are."""

    master_lost_after: float = 15
    certificate_days: int = 21
    secret_days: int = 365

    def held(self, event: str) -> float:
        return self.master_lost_after if event == MASTER_LOST else KINDS[event].held


# Which event, and of which server: "" for the environment.
Key = tuple[str, str]


class Finding(NamedTuple):
    """What a server knows of an event now. Of what it cannot know there is no finding.

    `held` is for how many seconds it is known to have held already, `value` what the summary says of it.
    """

    event: str
    subject: str
    holds: bool
    held: float = 0.0
    value: str = ""

    @property
    def key(self) -> Key:
        return self.event, self.subject


class Told(NamedTuple):
    """An event that was told, when it began and ended by the database's clock (seconds since 1970). `ended_at` is None while it
    holds; `value` is what the summary said.
    """

    event: str
    subject: str
    value: str
    began_at: float
    ended_at: float | None

    @property
    def key(self) -> Key:
        return self.event, self.subject


Since = Mapping[Key, float]


def ripen(since: Since, findings: Iterable[Finding], now: float, thresholds: Thresholds) -> tuple[Since, tuple[Finding, ...]]:
    """Since when what holds has held without a break (monotonic seconds); and the findings that count: those that have held for
    long enough, and those that do not hold. None counts that is found for the first time: whoever confirms something may be just
    as late as the database was.
    """
    holding: dict[Key, float] = {}
    ripe = []
    for finding in findings:
        if not finding.holds:
            ripe.append(finding)
            continue
        began = holding[finding.key] = min(since.get(finding.key, now), now - finding.held)
        if finding.key in since and now - began >= thresholds.held(finding.event):
            ripe.append(finding._replace(held=0.0))
    return holding, tuple(ripe)


class Due(NamedTuple):
    """What is to be told: that a finding holds; or, where `told` is set, that this event is over."""

    finding: Finding
    told: Told | None


def due(ripe: Iterable[Finding], told: Iterable[Told], now: float) -> list[Due]:
    """That of which people do not know yet. `now` is of the database's clock."""
    known = {each.key: each for each in told}
    found = []
    for finding in ripe:
        last = known.get(finding.key)
        is_open = last is not None and last.ended_at is None
        if finding.holds and not is_open and (last is None or now - (last.ended_at or 0.0) >= HOLD_OFF):
            found.append(Due(finding, None))
        elif not finding.holds and is_open:
            found.append(Due(finding, last))
    return found


def is_settled(ripe: Iterable[Finding], told: Iterable[Told]) -> bool:
    """Whether people know all of it: also of nothing that is held off."""
    known = {each.key for each in told if each.ended_at is None}
    return all(finding.holds == (finding.key in known) for finding in ripe)
