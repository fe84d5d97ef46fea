"""Backups: what counts as one, what opens one without us, and every wrong one refused without a change."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyrage
import pytest
from keys import secret
from pki import Authority
from servers import IDENTITY, OWN_GROUP, Fleet, Server, back_up

from ssod.core.keyring import Keyring
from ssod.core.shares import split
from ssod.service import backup as backups
from ssod.storage.migrations import migrate

PASSPHRASE = "correct horse battery staple"
EMPTY = {"application": "app", "context": "context", "plaintext": ""}


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Fleet]:
    """m1 is the master of a secret that has no verified backup; m2 is a standby."""
    root = tmp_path_factory.mktemp("backup")
    url = f"sqlite:///{root}/sso.db"
    migrate(url)
    fleet = Fleet(root, authority, url)
    fleet.add("m1", "m2")
    try:
        for server in fleet.servers:
            server.start(wait=False)
        for server in fleet.servers:
            server.wait_until_it_answers()
            server.enrol()
        m1 = fleet["m1"]
        m1.ok("POST", "/v1/master/activate", {})
        m1.ok("POST", "/v1/secret/generate", {})
        m1.ok("PUT", "/v1/applications/app", {"enabled": True, "users": [OWN_GROUP]})
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def m1(young: Fleet) -> Server:
    return young["m1"]


@pytest.fixture
def m2(young: Fleet) -> Server:
    return young["m2"]


@pytest.fixture(scope="module")
def with_passphrase(young: Fleet) -> Any:
    """One answer of the backup call with a passphrase: its derivation takes seconds."""
    return young["m1"].ok("POST", "/v1/secret/backup", {"passphrase": PASSPHRASE, "reminder": "the horse"})


def test_a_secret_that_was_never_backed_up_does_not_encrypt(m1: Server, m2: Server, with_passphrase: Any) -> None:
    """Not on the master, not elsewhere, and not when a backup was made and never read back; then it does, everywhere."""
    for server in (m1, m2):
        server.ok("POST", "/v1/refresh", {})
        assert server.status()["can_decrypt"]
        for path, body in (("/v1/encrypt", EMPTY), ("/v1/selftest", {})):
            refusal = server.refused("POST", path, body)
            assert (refusal["type"], refusal["status"]) == ("not-backed-up", 503)
            assert "backup_secret.yml" in refusal["next"]
    assert with_passphrase["backup"]
    content = m1.ok("POST", "/v1/secret/backup", {"recipients": [str(IDENTITY.to_public())]})["backup"]
    unrecorded = {"backup": content, "identity": str(IDENTITY), "place": "m1:/backup", "record": False}
    assert m1.ok("POST", "/v1/secret/backup/verify", unrecorded)["current_key_id"] == m1.status()["key_id"]
    assert m1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "not-backed-up"

    m1.ok("POST", "/v1/secret/backup/verify", unrecorded | {"record": True})
    assert m1.ok("GET", "/v1/secret")["backup"]["place"] == "m1:/backup"
    for server in (m1, m2):
        server.ok("POST", "/v1/refresh", {})
        assert server.call("POST", "/v1/encrypt", EMPTY)[0] == 200
        assert server.ok("POST", "/v1/selftest", {})["ok"]


def age(*arguments: str) -> bytes:
    done = subprocess.run(["/usr/bin/age", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def age_at_a_terminal(file: Path, passphrase: str) -> bytes:
    """What `age -d FILE` writes when a person types the passphrase."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            ["/usr/bin/setsid", "--ctty", "--wait", "/usr/bin/age", "-d", str(file)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
        ) as process:
            said = b""
            while b"passphrase" not in said:
                said += os.read(ours, 1000)
            os.write(ours, passphrase.encode() + b"\n")
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            return out
    finally:
        os.close(ours)
        os.close(theirs)


def check_document(document: bytes, server: Server) -> None:
    """As docs/backup-format.md says, read without ssod's own code but for the key id."""
    keyring = json.loads(document)
    assert keyring.keys() == {"format", "environment", "epoch", "current", "backed_up", "keys"}
    assert keyring["format"] == "holdfast keyring 1"
    assert keyring["current"] == server.status()["key_id"]
    assert [key.keys() for key in keyring["keys"]] == [{"id", "secret", "created_at"}]
    assert len(base64.b64decode(keyring["keys"][0]["secret"], validate=True)) == 32
    assert Keyring.from_document(document).current.id.hex() == keyring["current"]


def test_age_opens_a_backup_with_its_passphrase(m1: Server, with_passphrase: Any, tmp_path: Path) -> None:
    """Debian's age, at a terminal, gives the keyring as JSON; what lies beside the file says what it is."""
    content = base64.b64decode(with_passphrase["backup"])
    file = tmp_path / "backup.age"
    file.write_bytes(content)
    check_document(age_at_a_terminal(file, PASSPHRASE), m1)
    about = with_passphrase["about"]
    assert (about["format"], about["protection"], about["reminder"]) == ("holdfast backup 1", "passphrase", "the horse")
    assert about["sha256"] == hashlib.sha256(content).hexdigest()
    assert about["current_key_id"] in about["key_ids"] == [m1.status()["key_id"]]


def test_age_opens_a_backup_with_an_identity(m1: Server, tmp_path: Path) -> None:
    """`age-keygen` made the recipient, and `age -d -i` opens the backup for it."""
    identity = tmp_path / "identity"
    subprocess.run(["/usr/bin/age-keygen", "-o", str(identity)], check=True, capture_output=True)
    recipient = subprocess.run(["/usr/bin/age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True).stdout
    answer = m1.ok("POST", "/v1/secret/backup", {"recipients": [recipient.strip(), str(IDENTITY.to_public())]})
    file = tmp_path / "backup.age"
    file.write_bytes(base64.b64decode(answer["backup"]))
    check_document(age("-d", "-i", str(identity), str(file)), m1)
    # Neither recipient's identity is given: what ssod made is opened for its trial by ssod alone.
    verified = m1.ok("POST", "/v1/secret/backup/verify", {"backup": answer["backup"], "place": "p", "record": False})
    assert verified["sha256"] == answer["about"]["sha256"]


def test_k_shares_open_a_backup_and_fewer_do_not(m1: Server, m2: Server) -> None:
    """The recipient's identity is nowhere but in shares; `compare` says what fits, on any server, and changes nothing."""
    identity = pyrage.x25519.Identity.generate()
    content = m1.ok("POST", "/v1/secret/backup", {"recipients": [str(identity.to_public())]})["backup"]
    texts = [text.decode() for text in split(str(identity).encode(), 2, ["alice", "bob", "carol"])]
    for two in (texts[:2], texts[1:], texts):
        compared = m2.ok("POST", "/v1/secret/backup/compare", {"backup": content, "shares": two})
        assert (compared["fits"], compared["recorded"], compared["reasons"]) == (True, False, [])
        assert m2.ok("POST", "/v1/secret/restore", {"backup": content, "shares": two, "dry_run": True})["changed"] is False
    for path, more in (("compare", {}), ("verify", {"place": "p", "record": False})):
        refusal = m2.refused("POST", f"/v1/secret/backup/{path}", {"backup": content, "shares": texts[:1], **more})
        assert (refusal["type"], refusal["detail"]) == ("shares-refused", "2 shares are needed, 1 given")
    both = {"backup": content, "shares": texts, "identity": str(identity)}
    assert m2.refused("POST", "/v1/secret/backup/compare", both)["type"] == "invalid-value"
    for text in (m2.log.read_text(), m2.audit.read_text()):
        assert not [share for share in texts if json.loads(share)["value"] in text]


def test_compare_tells_a_backup_that_fits_from_others(m1: Server, m2: Server) -> None:
    """Of another environment, or without a key that the database needs: no refusal, but the reason."""
    ours = m1.ok("GET", "/v1/secret")["environment_id"]
    good = back_up(m1)

    def compared(content: bytes) -> Any:
        body = {"backup": base64.b64encode(content).decode(), "identity": str(IDENTITY)}
        return m2.ok("POST", "/v1/secret/backup/compare", body)

    assert (compared(good)["fits"], compared(good)["recorded"]) == (True, True)
    other = compared(sealed(Keyring("another", 1, secret(5), backed_up=True)))
    assert (other["fits"], other["reasons"]) == (False, [f"it is of environment another, and this is {ours}"])
    lacking = compared(sealed(Keyring(ours, 1, secret(5), backed_up=True)))
    assert lacking["fits"] is False
    assert lacking["reasons"]


def sealed(keyring: Keyring) -> bytes:
    return asyncio.run(backups.seal(keyring, None, [str(IDENTITY.to_public())]))[0]


def wrong(server: Server) -> dict[str, Callable[[], tuple[bytes, dict[str, str], str]]]:
    """(content, what opens it, problem) by what is wrong with it."""
    good = back_up(server)
    ours = server.ok("GET", "/v1/secret")["environment_id"]
    mine = {"identity": str(IDENTITY)}
    altered = good[:100] + (b"B" if good[100:101] == b"A" else b"A") + good[101:]
    header = good.index(b"\n---") + 60

    def of(environment: str) -> bytes:
        return sealed(Keyring(environment, 1, secret(5), backed_up=True))

    return {
        "of another environment": lambda: (of("another"), mine, "backup-of-another-environment"),
        "without a key that the database needs": lambda: (of(ours), mine, "backup-too-old"),
        "for another identity": lambda: (good, {"identity": "AGE-SECRET-KEY-1" + "Q" * 58}, "invalid-value"),
        "opened with a passphrase that it does not have": lambda: (good, {"passphrase": PASSPHRASE}, "wrong-passphrase"),
        "cut off by a byte": lambda: (good[:-1], mine, "backup-damaged"),
        "cut off in its head": lambda: (good[:60], mine, "backup-damaged"),
        # age finds no stanza for the key then: nobody can tell that from a backup for somebody else.
        "flipped in a stanza": lambda: (altered, mine, "wrong-passphrase"),
        "flipped in its head's seal": lambda: (good.replace(b"\n--- ", b"\n--- A", 1), mine, "backup-damaged"),
        "flipped at its end": lambda: (good[:-1] + bytes([good[-1] ^ 1]), mine, "backup-damaged"),
        "flipped in its middle": lambda: (good[:header] + bytes([good[header] ^ 1]) + good[header + 1 :], mine, "backup-damaged"),
        "empty": lambda: (b"", mine, "backup-damaged"),
    }


def test_a_wrong_backup_is_refused_by_its_kind_and_changes_nothing(m1: Server, m2: Server) -> None:
    """On a standby that has its keyring: the keyring, the sealed copy, the database and the service stay as they were."""
    cases = wrong(m1)
    m2.ok("POST", "/v1/refresh", {})
    before = m2.sealed.read_bytes(), m2.status()["key_id"], m1.ok("GET", "/v1/secret")
    ciphertext = m2.encrypt(b"value")
    answers = {}
    for says, case in cases.items():
        content, opener, problem = case()
        body = {"backup": base64.b64encode(content).decode(), **opener}
        for dry_run in (True, False):
            answers[says] = m2.refused("POST", "/v1/secret/restore", body | {"dry_run": dry_run})["type"], problem
    assert {says: given for says, (given, _) in answers.items()} == {says: expected for says, (_, expected) in answers.items()}
    assert (m2.sealed.read_bytes(), m2.status()["key_id"], m1.ok("GET", "/v1/secret")) == before
    assert m2.decrypt(ciphertext) == b"value"
    for line in (m2.log.read_text(), m2.audit.read_text()):
        assert PASSPHRASE not in line
        assert str(IDENTITY) not in line


def test_a_wrong_passphrase_is_told_from_a_damaged_file(m2: Server, with_passphrase: Any) -> None:
    """The file is complete, the words are not the right ones: that is said, with the reminder as the next step."""
    refusal = m2.refused("POST", "/v1/secret/restore", {"backup": with_passphrase["backup"], "passphrase": "another long one"})
    assert refusal["type"] == "wrong-passphrase"
    assert "about.json" in refusal["next"]


def test_a_standby_without_a_keyring_is_given_it_by_the_backup(young: Fleet, m1: Server, m2: Server) -> None:
    """With the master gone and its own copy lost, a restore makes a standby fit to be promoted."""
    backup = base64.b64encode(back_up(m1)).decode()
    ciphertext = m1.encrypt(b"value")
    m1.stop()
    m2.stop()
    m2.sealed.unlink()
    m2.start()
    assert m2.status()["key_id"] is None
    assert m2.refused("POST", "/v1/master/activate", {})["type"] == "activation-refused"
    body = {"backup": backup, "identity": str(IDENTITY)}
    assert m2.ok("POST", "/v1/secret/restore", body | {"dry_run": True})["changed"]
    assert m2.status()["key_id"] is None
    assert not m2.sealed.exists()
    assert m2.ok("POST", "/v1/secret/restore", body)["changed"]
    assert not m2.ok("POST", "/v1/secret/restore", body)["changed"]
    assert m2.decrypt(ciphertext) == b"value"
    assert m2.ok("POST", "/v1/master/activate", {})["master"] == "m2"
    assert m2.decrypt(m2.encrypt(b"new")) == b"new"
    # As it was, for whoever comes next.
    m1.start()
    assert m1.ok("POST", "/v1/master/activate", {})["master"] == "m1"
