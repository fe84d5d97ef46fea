"""`ssoctl secret backup` and `restore`: a file that counts, or everything as it was; a passphrase is never printed."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, HangUp, Reply, Request, ok, problem
from ssoctl_harness import ENVIRONMENT, KEY, Ssoctl, master_document

CANARY = "canary-7c2e-passphrase"
BACKUP = b"age-encryption.org/v1\n\x00\xff"
ABOUT = {
    "format": "holdfast backup 1",
    "environment_id": ENVIRONMENT,
    "current_key_id": KEY,
    "key_ids": [KEY],
    "made_at": "2026-11-23T10:00:00Z",
    "made_by": "m1",
    "protection": "passphrase",
    "reminder": "the usual",
    "sha256": hashlib.sha256(BACKUP).hexdigest(),
}
RESTORED = {"changed": True, "current_key_id": KEY, "key_ids": [KEY]}
VERIFY = "POST /v1/secret/backup/verify"


def verified(request: Request) -> Reply:
    """Opens what it is given: only the bytes that the fake handed out are a backup."""
    data = base64.b64decode(request.body["backup"], validate=True)
    if data != BACKUP:
        return problem(422, "backup-damaged")
    digest = hashlib.sha256(data).hexdigest()
    return ok({"environment_id": ENVIRONMENT, "current_key_id": KEY, "key_ids": [KEY], "sha256": digest})


@pytest.fixture
def master(fake: FakeSsod) -> FakeSsod:
    fake.answers |= {
        "GET /v1/master": master_document(),
        "POST /v1/secret/backup": {"backup": base64.b64encode(BACKUP).decode(), "about": ABOUT},
        VERIFY: verified,
        "POST /v1/secret/restore": RESTORED,
    }
    return fake


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.touch(0o600)
    file.write_text(CANARY + "\n")
    return file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory / "secret.age"


def left_in(place: Path) -> list[str]:
    return sorted(path.name for path in place.parent.iterdir())


def test_a_backup_is_written_privately_and_described(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    finished = ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase, "--reminder", "the usual")
    assert finished.code == 0, finished.err
    assert place.read_bytes() == BACKUP
    assert left_in(place) == ["secret.age", "secret.age.about.json"]
    about = place.with_name("secret.age.about.json")
    assert json.loads(about.read_text()) == ABOUT
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place, about)] == [0o600, 0o600]
    assert str(place) in finished.out and KEY in finished.out
    assert CANARY not in finished.out + finished.err + about.read_text()


def test_it_is_opened_before_it_gets_its_name_and_recorded_after(
    master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path
) -> None:
    seen: list[tuple[bool, bool]] = []

    def verify(request: Request) -> Reply:
        seen.append((request.body["record"], place.exists()))
        return verified(request)

    master.answers[VERIFY] = verify
    assert ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase).code == 0
    assert seen == [(False, False), (True, True)]
    assert master.requests[-1].body["place"] == f"m1:{place}"
    assert master.requests[-1].body["passphrase"] == CANARY


def test_for_recipients_no_passphrase_is_asked_and_ssod_opens_it_itself(master: FakeSsod, ssoctl: Ssoctl, place: Path) -> None:
    finished = ssoctl("secret", "backup", "--output", place, "--recipient", "age1a", "--recipient", "age1b", "--json")
    assert finished.code == 0
    assert json.loads(finished.out)["sha256"] == ABOUT["sha256"]
    assert master.requests[1].body == {"recipients": ["age1a", "age1b"]}
    assert not {"passphrase", "identity"} & master.requests[-1].body.keys()


def test_a_backup_that_does_not_open_leaves_the_older_file(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    place.write_bytes(b"older")
    master.answers[VERIFY] = problem(422, "backup-damaged")
    assert ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase).code == 1
    assert place.read_bytes() == b"older"
    assert left_in(place) == ["secret.age"]


def test_an_answer_that_is_lost_while_opening_leaves_the_older_file(
    master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path
) -> None:
    def lost(_: Request) -> Reply:
        raise HangUp

    place.write_bytes(b"older")
    master.answers[VERIFY] = lost
    assert ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase).code == 6
    assert place.read_bytes() == b"older"
    assert left_in(place) == ["secret.age"]


def test_a_backup_that_cannot_be_recorded_is_kept_and_the_line_says_both(
    master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path
) -> None:
    def verify(request: Request) -> Reply:
        return problem(503, "database-unavailable") if request.body["record"] else verified(request)

    master.answers[VERIFY] = verify
    finished = ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase)
    assert finished.code == 5
    assert "could open; recording it failed" in finished.err
    assert place.read_bytes() == BACKUP


def test_a_refusal_to_make_one_leaves_everything(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    master.answers["POST /v1/secret/backup"] = problem(409, "no-secret")
    assert ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase).code == 1
    assert left_in(place) == []


def test_elsewhere_than_on_the_master_nothing_is_made(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    master.answers["GET /v1/master"] = master_document(this_server="m2", mastership="passive")
    finished = ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase)
    assert finished.code == 1
    assert "run this on m1" in finished.err
    assert master.asked() == ["GET /v1/master"]


@pytest.mark.parametrize("output", ["absent/secret.age", "."])
def test_a_place_that_cannot_be_written_is_found_out_first(
    master: FakeSsod, ssoctl: Ssoctl, tmp_path: Path, passphrase: Path, output: str
) -> None:
    assert ssoctl("secret", "backup", "--output", tmp_path / output, "--passphrase-file", passphrase).code == 2
    assert master.requests == []


@pytest.mark.parametrize("options", [[], ["--recipient", "age1a", "--passphrase-file", "PASSPHRASE"]])
def test_neither_or_both_ways_of_protection_are_usage(
    master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path, options: list[str]
) -> None:
    words = [str(passphrase) if word == "PASSPHRASE" else word for word in options]
    assert ssoctl("secret", "backup", "--output", place, *words).code == 2
    assert master.requests == []


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\n"])
def test_a_passphrase_file_holds_one_line(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path, content: bytes) -> None:
    passphrase.write_bytes(content)
    assert ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase).code == 2
    assert master.requests == []


def test_blanks_belong_to_a_passphrase(master: FakeSsod, ssoctl: Ssoctl, place: Path) -> None:
    assert ssoctl("secret", "backup", "--output", place, "--passphrase-file", "-", stdin=b" a b \r\n").code == 0
    assert master.requests[1].body == {"passphrase": " a b "}


def test_a_passphrase_file_that_others_can_read_is_warned_about(
    master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path
) -> None:
    passphrase.chmod(0o644)
    finished = ssoctl("secret", "backup", "--output", place, "--passphrase-file", passphrase)
    assert finished.code == 0
    assert "chmod 600" in finished.err


def test_an_identity_given_as_a_recipient_is_refused_and_called_disclosed(master: FakeSsod, ssoctl: Ssoctl, place: Path) -> None:
    finished = ssoctl("secret", "backup", "--output", place, "--recipient", "AGE-SECRET-KEY-1CANARY")
    assert finished.code == 2
    assert "CANARY" not in finished.err
    assert master.requests == []


def test_restore_sends_the_file_and_shows_the_reminder(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    place.write_bytes(BACKUP)
    place.with_name("secret.age.about.json").write_text(json.dumps(ABOUT))
    finished = ssoctl("secret", "restore", place, "--passphrase-file", passphrase, "--yes")
    assert finished.code == 0
    assert "reminder: the usual" in finished.out and "is restored" in finished.out
    expected = {"backup": base64.b64encode(BACKUP).decode(), "dry_run": False, "passphrase": CANARY}
    assert master.requests[0].body == expected


def test_restore_needs_yes_except_to_try(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    place.write_bytes(BACKUP)
    assert ssoctl("secret", "restore", place, "--passphrase-file", passphrase).code == 2
    assert master.requests == []
    finished = ssoctl("secret", "restore", place, "--passphrase-file", passphrase, "--dry-run")
    assert "would be restored" in finished.out
    assert master.requests[0].body["dry_run"] is True


def test_restore_with_an_identity_reads_it_out_of_an_age_file(
    master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path
) -> None:
    place.write_bytes(BACKUP)
    passphrase.write_text("# created: 2026\n# public key: age1x\nAGE-SECRET-KEY-1X\n")
    assert ssoctl("secret", "restore", place, "--identity-file", passphrase, "--yes", "--json").out == (
        json.dumps(RESTORED, indent=2) + "\n"
    )
    assert master.requests[0].body["identity"] == "AGE-SECRET-KEY-1X"


@pytest.mark.parametrize("content", ["", "# nothing\n", "AGE-SECRET-KEY-1X\nAGE-SECRET-KEY-1Y\n"])
def test_an_identity_file_holds_one_identity(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path, content: str) -> None:
    place.write_bytes(BACKUP)
    passphrase.write_text(content)
    assert ssoctl("secret", "restore", place, "--identity-file", passphrase, "--yes").code == 2
    assert master.requests == []


def test_restore_of_what_is_held_already_says_so(master: FakeSsod, ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    place.write_bytes(BACKUP)
    master.answers["POST /v1/secret/restore"] = RESTORED | {"changed": False}
    assert "already" in ssoctl("secret", "restore", place, "--passphrase-file", passphrase, "--yes").out


def test_restore_of_a_file_that_is_absent_is_usage(ssoctl: Ssoctl, place: Path, passphrase: Path) -> None:
    assert ssoctl("secret", "restore", place, "--passphrase-file", passphrase, "--yes").code == 2
