# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""server and server_info."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


def test_a_server_is_enrolled_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; a new server is no standby unless told so."""
    foretold, done = rig.four_ways("server", name="s2", address="10.0.0.9:7443")
    assert foretold["server"] == done["server"]
    assert done["server"] == {"name": "s2", "state": "enrolled", "address": "10.0.0.9:7443", "may_become_master": False}
    assert ssod.calls[-1][1] == "/v1/servers"


def test_a_server_is_removed_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; no address is needed."""
    _foretold, done = rig.four_ways("server", name="s1", state="removed")
    (revoked,) = done["server"].pop("revoked")
    assert done["server"] == {"name": "s1", "state": "removed"}
    assert revoked["name"] == "s1"
    assert rig.run("server_info", revocations=True)["revocations"] == [revoked]
    assert "s1" not in ssod.state["servers"]


@pytest.mark.parametrize("changes", [{"address": "10.0.0.2:7443"}, {"may_become_master": False}])
def test_another_value_is_a_change(rig: Rig, changes: dict) -> None:
    """Address and standby are compared with what is enrolled."""
    rig.four_ways("server", **{"name": "m2", "address": "m2.example.com:7443", "may_become_master": True, **changes})


def test_a_standby_stays_one_if_nothing_is_said(rig: Rig) -> None:
    """Leaving the option out must not take a standby away."""
    outcome = rig.run("server", name="m2", address="m2.example.com:7443")
    assert not outcome.changed
    assert outcome["server"]["may_become_master"] is True


@pytest.mark.parametrize("check", [False, True])
def test_the_master_is_not_removed(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """Check mode says so as well, although the daemon has no dry run for it."""
    outcome = rig.run("server", check=check, name="m1", state="removed")
    assert outcome.failed
    assert outcome["problem"] == "server-is-master"
    assert "m1 is the master" in outcome["msg"]
    assert "m1" in ssod.state["servers"]


def test_a_database_that_is_away_is_not_an_empty_list(rig: Rig, ssod: FakeSsod) -> None:
    """Nothing is enrolled or taken for removed because the list could not be read."""
    ssod.instead["GET /v1/servers"] = Problem(503, "database-unavailable")
    for options in ({"state": "removed"}, {"address": "a:1"}):
        assert rig.run("server", name="s1", **options)["problem"] == "database-unavailable"
    assert ssod.written() == []


def test_the_info_twin_returns_what_the_module_takes(rig: Rig) -> None:
    """Every server can be given back to the module, and nothing changes."""
    found = rig.run("server_info")
    assert found["environment"]["master"] == "m1"
    assert found["server"]["name"] == "m1"
    assert found["database"]["reachable"] is True
    for server in found["servers"]:
        own = {option: server[option] for option in ("name", "address", "may_become_master", "state")}
        assert not rig.run("server", **own).changed


def test_who_manages_the_mastership_and_what_is_wrong_with_a_member_is_returned(rig: Rig, ssod: FakeSsod) -> None:
    """As the daemon says it, for a play that asserts on it."""
    member = {"name": "m1", "managed_by": "cluster", "mandate": False, "unfit": ["its certificate expired"]}
    database = {"reachable": True, "kind": "postgresql", "detail": None}
    ssod.instead["GET /v1/status"] = {"server": member, "database": database, "environment": None, "servers": []}
    assert rig.run("server_info")["server"] == member


def test_unknown_servers_are_none_and_not_an_empty_list(rig: Rig, ssod: FakeSsod) -> None:
    """The last known ones are not passed off as the present ones."""
    database = {"reachable": False, "kind": "postgresql", "detail": "away"}
    ssod.instead["GET /v1/status"] = {"server": {"name": "m1"}, "database": database, "environment": None, "servers": None}
    found = rig.run("server_info")
    assert found["servers"] is None
    assert found["environment"] is None
