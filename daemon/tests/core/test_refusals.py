"""Whether a server may encrypt or decrypt, and the one sentence on its health: a table of situations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from keys import keyring_of, secret

from ssod.core.keyring import Keyring
from ssod.core.refusals import PROMOTE, certificate_warning, encrypt_refusal, no_keyring, refused_by_database, sentence
from ssod.core.states import Attachment, Instant, Mastership, State
from ssod.errors import MasterLost, MastershipUnconfirmed, NoKeyring, NotBackedUp, Unavailable

BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY_ID = secret(1).id.hex()


def at(seconds: float) -> Instant:
    return Instant(seconds, BEGAN + timedelta(seconds=seconds))


NOW = at(174)
ATTACHED = State("s1", 60, Attachment.ATTACHED, master="m1", epoch=3, since=at(100), last_seen=at(170), reason="refreshed")
DETACHED = replace(ATTACHED, attachment=Attachment.DETACHED, since=at(100), reason="no answer from m1")
STALE = replace(ATTACHED, last_seen=at(0))
NOBODY = replace(DETACHED, master=None, reason="no server is the master")
MASTER = replace(ATTACHED, server="m1", mastership=Mastership.ACTIVE)
PAUSED = replace(MASTER, last_seen=at(100), database_lost="no route")
DOUBTED = replace(PAUSED, mastership=Mastership.UNCONFIRMED, attachment=Attachment.DETACHED)
STARTING = State("s1", 60, since=at(170))

GOOD, YOUNG = keyring_of(1), keyring_of(1, backed_up=False)


@dataclass(frozen=True)
class Row:
    says: str
    state: State
    keyring: Keyring | None
    refusal: type[Unavailable] | None
    sentence: str
    while_detached: bool = False


ROWS = [
    Row("attached", ATTACHED, GOOD, None, f"attached: master m1, epoch 3, key id {KEY_ID}"),
    Row("master", MASTER, GOOD, None, f"attached: this server is the master, epoch 3, key id {KEY_ID}"),
    Row(
        "detached",
        DETACHED,
        GOOD,
        MasterLost,
        "detached: master m1 not seen for 74 s, since 2026-01-02T03:05:45Z (no answer from m1); "
        "decrypting from cache, refusing to encrypt",
    ),
    Row(
        "detached, encrypting as configured",
        DETACHED,
        GOOD,
        None,
        "detached: master m1 not seen for 74 s, since 2026-01-02T03:05:45Z (no answer from m1); "
        "decrypting and, as configured, encrypting from cache",
        True,
    ),
    Row(
        "no master at all",
        NOBODY,
        GOOD,
        MasterLost,
        "detached: no server is the master (no server is the master); decrypting from cache, refusing to encrypt",
    ),
    Row(
        "an attachment that has grown old",
        STALE,
        GOOD,
        MasterLost,
        "detached: master m1 not seen for 74 s, since 2026-01-02T03:05:45Z (refreshed); decrypting from cache, refusing to encrypt",
    ),
    Row(
        "not backed up",
        ATTACHED,
        YOUNG,
        NotBackedUp,
        f"attached: master m1, epoch 3; the master secret {KEY_ID} has never been backed up; nothing is encrypted under it",
    ),
    Row(
        "not backed up, whatever is configured",
        DETACHED,
        YOUNG,
        NotBackedUp,
        f"detached: master m1, epoch 3; the master secret {KEY_ID} has never been backed up; nothing is encrypted under it",
        True,
    ),
    Row(
        "a master in doubt",
        DOUBTED,
        GOOD,
        MastershipUnconfirmed,
        "detached: this server is the master and cannot confirm it: no route; decrypting from cache, refusing to encrypt",
    ),
    Row(
        "a master after a pause",
        PAUSED,
        GOOD,
        MastershipUnconfirmed,
        "detached: this server is the master and cannot confirm it: no route; decrypting from cache, refusing to encrypt",
    ),
    Row(
        "restarted while the master is lost",
        DETACHED,
        None,
        NoKeyring,
        "detached: this server holds no keyring: master m1 not seen for 74 s, since 2026-01-02T03:05:45Z (no answer from m1); "
        "cannot encrypt or decrypt",
    ),
    Row(
        "an environment without a secret",
        ATTACHED,
        None,
        NoKeyring,
        "attached: the environment has no master secret yet; cannot encrypt or decrypt",
    ),
    Row(
        "starting",
        STARTING,
        None,
        NoKeyring,
        "starting: this server holds no keyring: no server is the master (starting); cannot encrypt or decrypt",
        True,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_a_situation_gives_one_answer_and_one_sentence(row: Row) -> None:
    """The refusal of encryption is of this kind, and health says this sentence."""
    refusal = encrypt_refusal(row.state, row.keyring, NOW, while_detached=row.while_detached)
    assert type(refusal) is (row.refusal or type(None))
    assert sentence(row.state, row.keyring, NOW, refusal) == row.sentence
    if refusal is not None:
        assert refusal.status == 503
        assert refusal.next_step


def test_a_lost_master_is_named_with_its_time_and_what_to_do() -> None:
    """The refusal alone is enough to act: who, since when, why, and the playbook."""
    refusal = encrypt_refusal(DETACHED, GOOD, NOW, while_detached=False)
    assert isinstance(refusal, MasterLost)
    assert refusal.detail.startswith("master m1 not seen for 74 s, since 2026-01-02T03:05:45Z (no answer from m1)")
    assert refusal.next_step == PROMOTE
    assert "promote_master.yml" in PROMOTE


def test_a_clock_that_reads_backwards_is_no_negative_time() -> None:
    """Seconds since a moment that is not yet are none."""
    assert "not seen for 0 s" in encrypt_refusal(DETACHED, GOOD, at(0), while_detached=False).detail  # type: ignore[union-attr]


def test_an_empty_server_says_which_of_two_reasons_it_has() -> None:
    """There is no secret yet, or there is one and it cannot be had: two next steps."""
    assert "generate" in (no_keyring(ATTACHED, NOW).next_step or "")
    assert no_keyring(DETACHED, NOW).next_step == PROMOTE


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (timedelta(days=400), None),
        (timedelta(days=21), None),
        (timedelta(days=21, seconds=-1), "its certificate expires in 20 days (2026-01-23T03:06:58Z): run site.yml"),
        (timedelta(seconds=1), "its certificate expires in 0 days (2026-01-02T03:07:00Z)"),
        (timedelta(seconds=-1), "its certificate HAS EXPIRED (2026-01-02T03:06:58Z)"),
    ],
)
def test_a_certificate_is_warned_of_when_its_renewal_is_overdue(left: timedelta, says: str | None) -> None:
    """site.yml renews it from 30 days on: with fewer than 21 nobody has run it."""
    said = certificate_warning(NOW.utc + left, NOW)
    assert (said is None) if says is None else str(said).startswith(says)
    assert certificate_warning(None, NOW) is None


def test_a_database_that_refuses_the_certificate_as_revoked_tells_that_the_server_was_removed() -> None:
    """In OpenSSL's words of either release; no other trouble with the database tells that."""
    for alert in ("sslv3 alert certificate revoked", "ssl/tls alert certificate revoked"):
        assert str(refused_by_database(replace(DETACHED, database_lost=f"SSL error: {alert}"))).startswith("REMOVED")
    for other in (None, "SSL error: ssl/tls alert certificate expired", "no route"):
        assert refused_by_database(replace(DETACHED, database_lost=other)) is None
