# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""master_secret_restore: the server decides, and every condition of a refusal arrives."""

from __future__ import annotations

import base64
import pathlib
import typing as t

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

CANARY = "canary-passphrase-52d0"
IDENTITY = "AGE-SECRET-KEY-1CANARY00000000000000000000000000000000000000000000000000"


@pytest.fixture
def options(ssod: FakeSsod, tmp_path: pathlib.Path) -> dict[str, t.Any]:
    """A backup of a secret that this server has lost."""
    ssod.generate()
    path = tmp_path / "s.age"
    path.write_bytes(base64.b64decode(ssod.make_backup({"passphrase": CANARY})["backup"]))
    ssod.state["held"] = []
    return {"path": str(path), "passphrase": CANARY}


def test_a_secret_is_restored_once(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Check, run, check, run; check mode is the daemon's own dry run."""
    foretold, done = rig.four_ways("master_secret_restore", **options)
    assert foretold["restored"] == done["restored"]
    assert ssod.state["held"] == done["restored"]["key_ids"] == [ssod.current_key_id()]
    assert CANARY not in rig.printed


def test_a_refusal_lists_every_condition(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Whoever restores in an incident mends everything at once."""
    conditions = ["m1 may not become master", "the canary of key 01ab does not open"]
    ssod.instead["POST /v1/secret/restore"] = Problem(
        409, "restore-refused", "the backup cannot be restored here", conditions
    )
    for check in (True, False):
        outcome = rig.run("master_secret_restore", check=check, **options)
        assert outcome["problem"] == "restore-refused"
        assert outcome["conditions"] == conditions
        assert all(condition in outcome["msg"] for condition in conditions)


def test_shares_are_sent_and_told_to_nobody(rig: Rig, ssod: FakeSsod, tmp_path: pathlib.Path) -> None:
    """As texts, in the body alone; a share that others can read is refused."""
    ssod.generate()
    backup = tmp_path / "s.age"
    backup.write_bytes(base64.b64decode(ssod.make_backup({"recipients": ["age1x"]})["backup"]))
    files = []
    for name in ("alice", "bob"):
        files.append(tmp_path / name)
        files[-1].touch(0o600)
        files[-1].write_text(CANARY + name)
    rig.run("master_secret_restore", path=str(backup), share_files=[str(file) for file in files])
    sent = [body["shares"] for _method, target, body in ssod.calls if target == "/v1/secret/restore"]
    assert sent == [[CANARY + "alice", CANARY + "bob"]]
    assert CANARY not in rig.printed
    files[1].chmod(0o640)
    refused = rig.run("master_secret_restore", path=str(backup), share_files=[str(file) for file in files])
    assert refused["problem"] == "credential-unusable"


def test_a_wrong_passphrase_is_told_without_telling_it(rig: Rig, options: dict[str, t.Any]) -> None:
    """The problem is named; the passphrase is in no output."""
    outcome = rig.run("master_secret_restore", **{**options, "passphrase": "canary-wrong-passphrase"})
    assert outcome["problem"] == "wrong-passphrase"
    assert "canary-wrong" not in rig.printed


def test_a_missing_file_says_where_to_look(rig: Rig, options: dict[str, t.Any]) -> None:
    """The record of the backup's place is the next step."""
    outcome = rig.run("master_secret_restore", **{**options, "path": "/nowhere/s.age"})
    assert "there is no backup file /nowhere/s.age" in outcome["msg"]
    assert "backup_place" in outcome["next"]


def test_an_identity_is_read_from_a_private_file(
    rig: Rig, ssod: FakeSsod, tmp_path: pathlib.Path, options: dict[str, t.Any]
) -> None:
    """As age-keygen writes it; the identity goes into the body of the call, and nowhere else."""
    sealed = ssod.make_backup({"recipients": ["age1x"]})["backup"]
    pathlib.Path(options["path"]).write_bytes(base64.b64decode(sealed))
    identity = tmp_path / "identity"
    identity.write_text(f"# created: 2026-11-23\n{IDENTITY}\n")
    identity.chmod(0o600)
    outcome = rig.run("master_secret_restore", path=options["path"], identity_file=str(identity))
    assert outcome.changed
    assert ssod.calls[-1][2]["identity"] == IDENTITY
    ssod.instead["POST /v1/secret/restore"] = Problem(500, "internal", f"the daemon leaks {IDENTITY}")
    assert rig.run("master_secret_restore", path=options["path"], identity_file=str(identity)).failed
    assert IDENTITY not in rig.printed


@pytest.mark.parametrize(
    ("content", "why"), [(f"{IDENTITY}\n{IDENTITY}2\n", "holds 2 identities"), ("# created: 2026\n", "is empty")]
)
def test_one_identity_is_wanted(rig: Rig, tmp_path: pathlib.Path, options: dict[str, t.Any], content: str, why: str) -> None:
    """None and several are refused before the daemon is asked, and none is repeated."""
    identity = tmp_path / "identity"
    identity.write_text(content)
    identity.chmod(0o600)
    assert why in rig.run("master_secret_restore", path=options["path"], identity_file=str(identity))["msg"]
    assert IDENTITY not in rig.printed


def test_an_empty_passphrase_is_refused(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """An unset variable is noticed before the daemon is asked."""
    outcome = rig.run("master_secret_restore", **{**options, "passphrase": ""})
    assert "is empty" in outcome["msg"]
    assert ssod.calls == []
