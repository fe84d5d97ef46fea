# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""master_secret_backup: made once, proved twice, and never at the cost of an older one."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

CANARY = "canary-passphrase-81c2"
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OTHER_RECIPIENT = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"


@pytest.fixture
def options(ssod: FakeSsod, tmp_path: pathlib.Path) -> dict[str, t.Any]:
    """A secret to back up, a passphrase, and a place for the file."""
    ssod.generate()
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(CANARY + "\n")
    passphrase.chmod(0o600)
    (tmp_path / "backup").mkdir()
    return {"path": str(tmp_path / "backup" / "s.age"), "passphrase_file": str(passphrase), "reminder": "in the safe"}


def test_a_backup_is_made_verified_and_recorded_once(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Check, run, check, run; what is recorded is what lies on disk."""
    foretold, done = rig.four_ways("master_secret_backup", **options, place="m1:/backup")
    assert foretold["backup"]["reasons"][0] == "there is no file"
    assert foretold["backup"]["sha256"] is None
    assert ssod.state["backup"]["sha256"] == done["backup"]["sha256"]
    assert ssod.state["backup"]["place"] == "m1:/backup"
    assert done["backup"]["current_key_id"] == ssod.current_key_id()
    assert done["diff"]["before"]["sha256"] is None
    assert CANARY not in rig.printed


def test_it_is_proved_before_it_takes_the_place_and_recorded_after(
    rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]
) -> None:
    """First verified as a draft without counting, then from its own path, counting; the one newline is left out."""
    assert rig.run("master_secret_backup", **options).changed
    bodies = [body for _method, target, body in ssod.calls if target == "/v1/secret/backup/verify"]
    assert [body["record"] for body in bodies] == [False, True]
    assert {body["passphrase"] for body in bodies} == {CANARY}


def test_the_files_are_private_and_complete(rig: Rig, options: dict[str, t.Any]) -> None:
    """The backup is 0600, what it is can be read beside it, and no draft is left over."""
    done = rig.run("master_secret_backup", **options)
    path = done["backup"]["path"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    with open(done["backup"]["about_path"], encoding="utf-8") as stream:
        about = json.load(stream)
    assert about["reminder"] == "in the safe"
    assert about["sha256"] == done["backup"]["sha256"]
    assert sorted(os.listdir(os.path.dirname(path))) == ["s.age", "s.age.about.json"]


def test_the_place_is_the_host_and_the_path_by_default(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Whoever reads the record in an incident learns where to look."""
    assert rig.run("master_secret_backup", **options).changed
    assert ssod.state["backup"]["place"] == f"{os.uname().nodename}:{options['path']}"


def test_a_passphrase_given_as_an_option_is_in_no_output(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Also with the invocation, the diff, and a failure that happens to carry it."""
    del options["passphrase_file"]
    assert rig.run("master_secret_backup", **options, passphrase=CANARY).changed
    ssod.instead["GET /v1/secret"] = Problem(500, "internal", f"the daemon leaks {CANARY}")
    assert rig.run("master_secret_backup", **options, passphrase=CANARY).failed
    assert CANARY not in rig.printed


def test_a_passphrase_from_a_file_is_in_no_output(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """What is read on the managed host is masked as well, should a daemon ever repeat it."""
    ssod.instead["POST /v1/secret/backup"] = Problem(500, "internal", f"the daemon leaks {CANARY}")
    assert rig.run("master_secret_backup", **options).failed
    assert CANARY not in rig.printed


def test_recipients_need_no_credential(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """A backup for recipients is verified by the process that made it."""
    del options["passphrase_file"]
    _foretold, done = rig.four_ways("master_secret_backup", **options, recipients=[RECIPIENT])
    assert done["backup"]["protection"] == "recipients"
    assert ssod.state["backup"]["protection"] == "recipients"


def test_a_backup_for_other_recipients_is_made_again(rig: Rig, options: dict[str, t.Any]) -> None:
    """Whom it is for is kept beside it, for the file does not tell; their order says nothing."""
    del options["passphrase_file"]
    done = rig.run("master_secret_backup", **options, recipients=[RECIPIENT, OTHER_RECIPIENT])
    about = json.loads(pathlib.Path(done["backup"]["about_path"]).read_text())
    assert about["recipients"] == sorted([RECIPIENT, OTHER_RECIPIENT])
    assert not rig.run("master_secret_backup", **options, recipients=[OTHER_RECIPIENT, RECIPIENT]).changed
    foretold = rig.run("master_secret_backup", check=True, **options, recipients=[RECIPIENT])
    assert foretold["backup"]["reasons"] == ["it is for other recipients"]
    assert rig.run("master_secret_backup", **options, recipients=[RECIPIENT]).changed
    assert not rig.run("master_secret_backup", **options, recipients=[RECIPIENT]).changed


def test_a_passphrase_that_does_not_open_it_makes_another(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """A passphrase that was lost and made anew is found out now, and not at the restore."""
    assert rig.run("master_secret_backup", **options).changed
    pathlib.Path(options["passphrase_file"]).write_text("another-passphrase-4d1e\n")
    foretold = rig.run("master_secret_backup", check=True, **options)
    assert foretold["backup"]["reasons"] == ["the passphrase does not open it"]
    before = ssod.state["backup"]
    done = rig.run("master_secret_backup", **options)
    assert done["backup"]["reasons"] == ["the passphrase does not open it"]
    assert ssod.state["backup"]["sha256"] == done["backup"]["sha256"] != before["sha256"]
    assert not rig.run("master_secret_backup", **options).changed


def test_a_trial_that_fails_otherwise_is_no_reason_for_another(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """A daemon that cannot try it says nothing of the passphrase: that is told, and the backup left alone."""
    sha256 = rig.run("master_secret_backup", **options)["backup"]["sha256"]
    ssod.instead["POST /v1/secret/backup/verify"] = Problem(503, "database-unavailable")
    assert rig.run("master_secret_backup", **options)["problem"] == "database-unavailable"
    assert ssod.state["backup"]["sha256"] == sha256


def test_check_mode_needs_no_passphrase_that_would_be_carried_here(rig: Rig, options: dict[str, t.Any]) -> None:
    """The task that carries it does nothing in check mode; a run without it fails all the same."""
    assert rig.run("master_secret_backup", **options).changed
    os.unlink(options["passphrase_file"])
    assert not rig.run("master_secret_backup", check=True, **options).changed
    assert rig.run("master_secret_backup", **options)["problem"] == "credential-unusable"


def altered(options: dict[str, t.Any], _ssod: FakeSsod) -> None:
    with open(options["path"], "ab") as stream:
        stream.write(b"x")


def gone(options: dict[str, t.Any], _ssod: FakeSsod) -> None:
    os.unlink(options["path"])


def about_gone(options: dict[str, t.Any], _ssod: FakeSsod) -> None:
    os.unlink(options["path"] + ".about.json")


def rotated(_options: dict[str, t.Any], ssod: FakeSsod) -> None:
    ssod.generate()


def forgotten(_options: dict[str, t.Any], ssod: FakeSsod) -> None:
    ssod.state["backup"] = None


def reminder(options: dict[str, t.Any], _ssod: FakeSsod) -> None:
    options["reminder"] = "in the other safe"


@pytest.mark.parametrize("happens", [altered, gone, about_gone, rotated, forgotten, reminder])
def test_what_no_longer_counts_is_made_again(
    rig: Rig, ssod: FakeSsod, options: dict[str, t.Any], happens: t.Callable[[dict[str, t.Any], FakeSsod], None]
) -> None:
    """A file that is missing or altered, a newer secret, a lost record and another reminder each make a new backup."""
    assert rig.run("master_secret_backup", **options).changed
    happens(options, ssod)
    assert rig.run("master_secret_backup", check=True, **options)["backup"]["reasons"]
    assert rig.run("master_secret_backup", **options).changed
    assert not rig.run("master_secret_backup", **options).changed


def test_a_bad_new_backup_does_not_cost_the_old_one(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """If the draft does not open, the old file is still there, byte for byte, and nothing else is."""
    assert rig.run("master_secret_backup", **options).changed
    old = pathlib.Path(options["path"]).read_bytes()
    recorded = ssod.state["backup"]
    ssod.generate()
    ssod.instead["POST /v1/secret/backup/verify"] = Problem(422, "backup-damaged")
    outcome = rig.run("master_secret_backup", **options)
    assert outcome["problem"] == "backup-damaged"
    assert pathlib.Path(options["path"]).read_bytes() == old
    assert ssod.state["backup"] == recorded
    assert sorted(os.listdir(os.path.dirname(options["path"]))) == ["s.age", "s.age.about.json"]


def test_bytes_that_are_not_those_that_were_made_are_refused(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """The file on disk is compared with what the daemon said that it made."""
    made = ssod.make_backup({"passphrase": CANARY, "reminder": "in the safe"})
    made["about"]["sha256"] = "0" * 64
    ssod.instead["POST /v1/secret/backup"] = made
    outcome = rig.run("master_secret_backup", **options)
    assert outcome["problem"] == "backup-damaged"
    assert "nothing has been recorded" in outcome["next"]
    assert ssod.state["backup"] is None


def test_a_mode_that_was_changed_is_mended_without_a_new_backup(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Permissions are a change of their own."""
    sha256 = rig.run("master_secret_backup", **options)["backup"]["sha256"]
    os.chmod(options["path"], 0o644)
    assert rig.run("master_secret_backup", check=True, **options).changed
    assert os.stat(options["path"]).st_mode & 0o777 == 0o644
    mended = rig.run("master_secret_backup", **options)
    assert mended.changed
    assert mended["backup"]["sha256"] == sha256
    assert os.stat(options["path"]).st_mode & 0o777 == 0o600
    assert not rig.run("master_secret_backup", **options).changed


def test_a_passphrase_file_that_others_can_read_is_refused(rig: Rig, ssod: FakeSsod, options: dict[str, t.Any]) -> None:
    """Before anything is made, with the command that mends it."""
    os.chmod(options["passphrase_file"], 0o644)
    outcome = rig.run("master_secret_backup", **options)
    assert outcome["next"] == f"chmod 0600 {options['passphrase_file']}"
    assert not os.path.exists(options["path"])
    assert CANARY not in rig.printed


def test_exactly_one_protection_is_required(rig: Rig, options: dict[str, t.Any]) -> None:
    """None and two are both refused by the specification."""
    assert "mutually exclusive" in rig.run("master_secret_backup", **options, recipients=[RECIPIENT])["msg"]
    del options["passphrase_file"]
    assert "one of the following is required" in rig.run("master_secret_backup", **options)["msg"]


def test_check_mode_works_before_there_is_a_secret(rig: Rig, ssod: FakeSsod, tmp_path: pathlib.Path) -> None:
    """On a clean host the task before this one would have generated it."""
    outcome = rig.run("master_secret_backup", check=True, path=str(tmp_path / "s.age"), passphrase=CANARY)
    assert outcome.changed
    assert ssod.written() == []
