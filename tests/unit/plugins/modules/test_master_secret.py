# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""master_secret and master_secret_info."""

from __future__ import annotations

import datetime

from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


def test_a_missing_secret_is_generated_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; the id is known after the run and not before."""
    foretold, done = rig.four_ways("master_secret")
    assert foretold["secret"]["state"] == "present"
    assert foretold["secret"]["current_key_id"] is None
    assert done["secret"]["current_key_id"] == ssod.current_key_id()
    assert done["diff"] == {
        "before": {"state": "absent", "current_key_id": None, "next_key_id": None},
        "after": {"state": "present", "current_key_id": ssod.current_key_id(), "next_key_id": None},
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


def test_a_next_secret_is_prepared_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; the current one stays the current one."""
    current = ssod.generate()
    foretold, done = rig.four_ways("master_secret", state="prepared")
    assert foretold["secret"]["next_key_id"] is None
    assert done["secret"]["current_key_id"] == current
    assert done["diff"]["after"] == {"state": "present", "current_key_id": current, "next_key_id": ssod.state["next"]["key_id"]}
    assert ssod.written() == ["POST /v1/secret/rotation/prepare"]


def test_a_secret_that_is_young_enough_is_not_rotated(rig: Rig, ssod: FakeSsod) -> None:
    """By its age in days; one that a rotation is under way from is, however old it is."""
    ssod.generate()
    age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)
    assert not rig.run("master_secret", state="prepared", max_age=age.days + 1).changed
    assert rig.run("master_secret", state="prepared", max_age=age.days).changed
    ssod.state["held"].pop()
    assert rig.run("master_secret", state="prepared", max_age=age.days + 1).changed


def test_the_next_secret_becomes_the_current_one(rig: Rig, ssod: FakeSsod) -> None:
    """Check mode asks every server, and says what would be."""
    ssod.generate()
    ssod.prepare_rotation()
    coming = ssod.state["next"]["key_id"]
    foretold, done = rig.four_ways("master_secret", state="rotated")
    assert foretold["secret"]["current_key_id"] == done["secret"]["current_key_id"] == coming
    assert [server["name"] for server in done["rotation"]["servers"]] == ["m1", "m2", "s1"]
    assert done["rotation"]["left"] == 2500


def test_a_server_that_is_behind_is_named_in_check_mode_too(rig: Rig, ssod: FakeSsod) -> None:
    """Unless it is left behind knowingly."""
    ssod.generate()
    ssod.prepare_rotation()
    ssod.state["servers"]["s1"]["attached"] = False
    outcome = rig.run("master_secret", state="rotated", check=True)
    assert (outcome["problem"], outcome["conditions"]) == ("rotation-refused", ["s1 does not hold it"])
    assert rig.run("master_secret", state="rotated", without=["s1"]).changed


def test_values_are_renewed_in_batches_until_none_is_left(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; nothing is left the second time."""
    ssod.generate()
    ssod.state["under_retired"] = 2500
    foretold, done = rig.four_ways("master_secret", state="renewed")
    assert foretold["rotation"]["left"] == done["rotation"]["left"] == 0
    assert done["rotation"]["renewed"] == 2500
    assert ssod.written() == ["POST /v1/secret/rotation/renew"] * 11


def test_the_time_that_a_renewal_may_take_ends_it_between_two_batches(rig: Rig, ssod: FakeSsod) -> None:
    """What is left is told, for the task that goes on."""
    ssod.generate()
    ssod.state["under_retired"] = 2500
    outcome = rig.run("master_secret", state="renewed", seconds=-1)
    assert (outcome["rotation"]["renewed"], outcome["rotation"]["left"]) == (250, 2250)


def test_without_a_secret_nothing_is_rotated(rig: Rig) -> None:
    """It is refused, with what to do."""
    for state in ("prepared", "rotated", "renewed"):
        assert rig.run("master_secret", state=state)["problem"] == "no-secret"


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
