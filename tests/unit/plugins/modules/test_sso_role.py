# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sso_role and sso_role_info."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


@pytest.mark.parametrize("members", [["user:eve", "group:audit"], ["user:eve"], []])
def test_the_members_are_the_whole_list(rig: Rig, members: list[str]) -> None:
    """Check, run, check, run; also for nobody."""
    foretold, done = rig.four_ways("sso_role", role="sso_auditor", members=members)
    assert foretold["role"] == done["role"] == {"role": "sso_auditor", "members": sorted(members), "configured": []}
    assert done["diff"]["before"]["members"] == ["group:audit"]


def test_another_order_is_no_change(rig: Rig) -> None:
    """Members are a set."""
    rig.run("sso_role", role="sso_auditor", members=["user:a", "user:b"])
    assert not rig.run("sso_role", role="sso_auditor", members=["user:b", "user:a", "user:b"]).changed


@pytest.mark.parametrize("check", [False, True])
def test_a_change_that_would_lock_out_fails_in_check_mode_too(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """The daemon knows who asks."""
    ssod.instead["PUT /v1/roles/sso_administrator"] = Problem(409, "would-lock-out")
    outcome = rig.run("sso_role", check=check, role="sso_administrator", members=["user:a"])
    assert outcome["problem"] == "would-lock-out"


def test_the_info_twin_returns_what_the_module_takes(rig: Rig) -> None:
    """One or all, each can be given back, and nothing changes."""
    roles = rig.run("sso_role_info")["roles"]
    assert [each["role"] for each in roles] == ["sso_administrator", "sso_affiliate_administrator", "sso_auditor"]
    assert roles[0]["configured"] == ["group:sso-admins"]
    for each in roles:
        assert rig.run("sso_role_info", role=each["role"])["roles"] == [each]
        assert not rig.run("sso_role", role=each["role"], members=each["members"]).changed
