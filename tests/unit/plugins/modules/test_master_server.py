# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""master_server and master_server_info."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


def test_a_standby_is_promoted_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; the expected epoch is of the promotion, not of what follows it."""
    ssod.mastership = "passive"
    ssod.state["master"] = "m9"
    foretold, done = rig.four_ways("master_server", state="active", expected_epoch=3)
    assert (
        foretold["diff"]
        == done["diff"]
        == {
            "before": {"state": "inactive", "master": "m9", "epoch": 3},
            "after": {"state": "active", "master": "m1", "epoch": 4},
        }
    )
    assert done["master"]["mastership"] == "active"


def test_a_master_steps_down_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run."""
    foretold, done = rig.four_ways("master_server", state="inactive")
    assert foretold["diff"] == done["diff"]
    assert done["diff"]["after"] == {"state": "inactive", "master": None, "epoch": 4}


def test_a_promotion_is_one_call(rig: Rig, ssod: FakeSsod) -> None:
    """In an incident nothing is asked that is not needed: the present state, the act, the new state."""
    ssod.mastership = "passive"
    assert rig.run("master_server", state="active").changed
    assert [(method, target) for method, target, _body in ssod.calls] == [
        ("GET", "/v1/master"),
        ("POST", "/v1/master/activate"),
        ("GET", "/v1/master"),
    ]
    assert ssod.calls[1][2] == {"dry_run": False}


def test_an_unexpected_epoch_is_refused(rig: Rig, ssod: FakeSsod) -> None:
    """Of two promotions started at once only one is done."""
    ssod.mastership = "passive"
    outcome = rig.run("master_server", state="active", expected_epoch=2)
    assert outcome["problem"] == "activation-refused"
    assert outcome["conditions"] == ["epoch 2 was expected; the database is at epoch 3"]


@pytest.mark.parametrize("check", [False, True])
def test_a_refusal_lists_every_condition(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """Check mode fails with the same conditions as the promotion would."""
    ssod.mastership = "passive"
    conditions = ["m1 holds no keyring", "m1 may not become master", "the database is at epoch 7"]
    ssod.instead["POST /v1/master/activate"] = Problem(409, "activation-refused", "m1 cannot become the master", conditions)
    outcome = rig.run("master_server", check=check, state="active")
    assert outcome.failed
    assert outcome["problem"] == "activation-refused"
    assert outcome["conditions"] == conditions
    assert outcome["msg"] == (
        "m1 cannot become the master. (1) m1 holds no keyring. (2) m1 may not become master. "
        "(3) the database is at epoch 7. Next: mend activation-refused."
    )


@pytest.mark.parametrize("mastership", ["active", "passive", "unconfirmed"])
@pytest.mark.parametrize(("state", "act"), [("active", "activate"), ("inactive", "deactivate")])
def test_what_a_server_remembers_of_itself_is_not_believed(
    rig: Rig, ssod: FakeSsod, mastership: str, state: str, act: str
) -> None:
    """A master that was paused still remembers to be one: the daemon is always asked, and asks the database."""
    ssod.mastership = mastership
    rig.run("master_server", state=state)
    assert ("POST", f"/v1/master/{act}", {"dry_run": False}) in ssod.calls


def test_the_info_twin_returns_what_the_module_takes(rig: Rig, ssod: FakeSsod) -> None:
    """The state and the epoch can be given back."""
    found = rig.run("master_server_info")["master"]
    assert (found["state"], found["master"], found["epoch"]) == ("active", "m1", 3)
    assert not rig.run("master_server", state=found["state"], expected_epoch=found["epoch"]).changed
    ssod.mastership = "unconfirmed"
    assert rig.run("master_server_info")["master"]["state"] == "inactive"
