# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""master_secret and master_secret_info."""

from __future__ import annotations

from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


def test_a_missing_secret_is_generated_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; the id is known after the run and not before."""
    foretold, done = rig.four_ways("master_secret")
    assert foretold["secret"]["state"] == "present"
    assert foretold["secret"]["current_key_id"] is None
    assert done["secret"]["current_key_id"] == ssod.current_key_id()
    assert done["diff"] == {
        "before": {"state": "absent", "current_key_id": None},
        "after": {"state": "present", "current_key_id": ssod.current_key_id()},
    }
    assert ssod.written() == ["POST /v1/secret/generate"]


def test_a_present_secret_is_left_alone_by_a_standby(rig: Rig, ssod: FakeSsod) -> None:
    """Where there is a secret, nobody has to be the master to say so."""
    ssod.generate()
    ssod.mastership = "passive"
    assert not rig.run("master_secret").changed


def test_a_server_that_is_not_the_master_is_refused(rig: Rig, ssod: FakeSsod) -> None:
    """The daemon's refusal arrives with its name and its next step."""
    ssod.mastership = "passive"
    outcome = rig.run("master_secret")
    assert outcome.failed
    assert outcome["problem"] == "not-master"
    assert outcome["next"] == "mend not-master"
    assert outcome["tracking_id"] == "t-1"
    assert "Traceback" not in outcome.printed


def test_rotation_is_not_accepted_yet(rig: Rig) -> None:
    """A state that does not exist is refused by name, before anything is asked."""
    outcome = rig.run("master_secret", state="rotated")
    assert outcome.failed
    assert "value of state must be one of: present" in outcome["msg"]


def test_the_info_twin_returns_what_the_module_takes(rig: Rig, ssod: FakeSsod) -> None:
    """The state can be given back to master_secret, and is the only option it has."""
    assert rig.run("master_secret_info")["secret"]["state"] == "absent"
    ssod.generate()
    found = rig.run("master_secret_info")["secret"]
    assert found["state"] == "present"
    assert found["current_key_id"] == ssod.current_key_id()
    assert [key["key_id"] for key in found["keyring"]] == [ssod.current_key_id()]
    assert not rig.run("master_secret", state=found["state"]).changed


def test_a_socket_that_is_missing_is_one_readable_failure(rig: Rig) -> None:
    """Every module ends the same way where no daemon runs."""
    outcome = rig.run("master_secret_info", socket="/nowhere/ssod.sock")
    assert outcome.failed
    assert outcome["msg"] == (
        "there is no socket /nowhere/ssod.sock. Next: is ssod running on this host? systemctl status ssod."
    )
    assert outcome["problem"] == "ssod-unreachable"
    assert outcome["conditions"] == []


def test_a_caller_that_may_not_is_told_so(rig: Rig, ssod: FakeSsod) -> None:
    """Forbidden is a failure, never an absent secret that would then be generated."""
    ssod.instead["GET /v1/secret"] = Problem(403, "forbidden", "user nobody is not an SSO administrator")
    outcome = rig.run("master_secret")
    assert outcome["problem"] == "forbidden"
    assert "user nobody is not an SSO administrator" in outcome["msg"]
    assert ssod.written() == []
