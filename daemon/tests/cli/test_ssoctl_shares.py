"""`ssoctl backup shares` and `backup verify`: Debian's age opens each share, enough of them open a backup, and errors say which."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from fake_ssod import FakeSsod, problem
from ssoctl_harness import ENVIRONMENT, KEY, Ssoctl

from ssod.core.shares import join

COMPARE = "POST /v1/secret/backup/compare"
FITS = {
    "environment_id": ENVIRONMENT,
    "current_key_id": KEY,
    "key_ids": [KEY],
    "sha256": "ab" * 32,
    "recorded": False,
    "fits": True,
    "reasons": [],
}


@pytest.fixture
def holders(tmp_path: Path) -> dict[str, str]:
    """name: recipient of three people, whose identities are in NAME.key."""
    found = {}
    for name in ("alice", "bob", "carol"):
        key = tmp_path / f"{name}.key"
        subprocess.run(["/usr/bin/age-keygen", "-o", key], check=True, capture_output=True)
        found[name] = subprocess.run(["/usr/bin/age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    return found


def shares(ssoctl: Ssoctl, holders: dict[str, str], output: Path, threshold: int = 2) -> int:
    options = [word for name, recipient in holders.items() for word in ("--holder", f"{name}={recipient}")]
    return ssoctl("backup", "shares", "--threshold", str(threshold), *options, "--output", output).code


def opened(directory: Path, name: str) -> bytes:
    """What the holder's own age makes of their file."""
    command = ["/usr/bin/age", "-d", "-i", directory.parent / f"{name}.key", directory / f"{name}.age"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_enough_holders_open_what_is_for_the_recipient(ssoctl: Ssoctl, holders: dict[str, str], tmp_path: Path) -> None:
    made = tmp_path / "escrow"
    assert shares(ssoctl, holders, made) == 0
    about = json.loads((made / "escrow.json").read_text())
    assert (about["threshold"], about["holders"]) == (2, holders)
    assert sorted(path.name for path in made.iterdir()) == ["alice.age", "bob.age", "carol.age", "escrow.json"]
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    identity = join([opened(made, "carol"), opened(made, "alice")])
    sealed = pyrage.encrypt(b"keyring", [pyrage.x25519.Recipient.from_str(about["recipient"])])
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(identity.decode())]) == b"keyring"
    assert not [path for path in made.iterdir() if b"AGE-SECRET-KEY" in path.read_bytes()]
    wrong = subprocess.run(["/usr/bin/age", "-d", "-i", tmp_path / "bob.key", made / "alice.age"], check=False, capture_output=True)
    assert wrong.returncode != 0, "one holder opens no other's share"


def test_the_format_is_opened_as_its_documentation_says(ssoctl: Ssoctl, holders: dict[str, str], tmp_path: Path) -> None:
    """docs/escrow.md holds a program that needs PyCryptodome alone: it is run as it is printed there."""
    made = tmp_path / "escrow"
    assert shares(ssoctl, holders, made) == 0
    files = []
    for name in ("bob", "carol"):
        files.append(tmp_path / f"{name}.share")
        files[-1].write_bytes(opened(made, name))
    page = (Path(__file__).parents[3] / "docs" / "escrow.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    done = subprocess.run([sys.executable, "-c", program, *files], check=True, capture_output=True)
    assert done.stdout.strip() == join([file.read_bytes() for file in files])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--threshold", "2", "--holder", "alice"], "is no holder"),
        (["--threshold", "2", "--holder", "alice=age1nonsense", "--holder", "bob=age1"], "is no age recipient"),
        (["--threshold", "2", "--holder", "../alice=age1"], "cannot be the name of a file"),
    ],
)
def test_shares_that_cannot_be_made_leave_nothing(ssoctl: Ssoctl, tmp_path: Path, arguments: list[str], says: str) -> None:
    finished = ssoctl("backup", "shares", *arguments, "--output", tmp_path / "escrow")
    assert (finished.code, says in finished.err) == (2, True), finished.err
    assert list(tmp_path.glob("*escrow*")) == []


def test_shares_are_never_replaced(ssoctl: Ssoctl, holders: dict[str, str], tmp_path: Path) -> None:
    made = tmp_path / "escrow"
    assert shares(ssoctl, holders, made) == 0
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    assert shares(ssoctl, holders, made) == 2
    assert shares(ssoctl, holders, tmp_path / "one", threshold=1) == 2
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    assert not (tmp_path / "one").exists()


def test_verify_says_whether_a_backup_fits(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    backup, share = tmp_path / "b.age", tmp_path / "share"
    backup.write_bytes(b"age-encryption.org/v1\n")
    share.touch(0o600)
    share.write_text("{}")
    command = ("backup", "verify", backup, "--share-file", share, "--share-file", share)
    fake.answers |= {COMPARE: FITS}
    finished = ssoctl(*command)
    assert (finished.code, "it fits the database of this server" in finished.out) == (0, True)
    fake.answers |= {COMPARE: FITS | {"fits": False, "reasons": ["it is of environment x, and this is y"]}}
    finished = ssoctl(*command)
    assert (finished.code, "it is of environment x" in finished.err) == (1, True)
    fake.answers |= {COMPARE: problem(422, "shares-refused")}
    assert ssoctl(*command).code == 1
    share.write_bytes(b"age-encryption.org/v1\n")
    assert "still encrypted for its holder" in ssoctl(*command).err
