# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""application and application_info."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

PAYROLL: dict[str, t.Any] = {
    "name": "payroll",
    "description": "Payroll",
    "enabled": True,
    "administrators": ["group:admins", "certificate:batch7"],
    "users": ["group:payroll"],
    "fields": [{"name": "host"}, {"name": "password", "masked": True}],
}


@pytest.fixture
def payroll(rig: Rig, ssod: FakeSsod) -> None:
    """An application that is there."""
    assert rig.run("application", **PAYROLL).changed
    ssod.calls.clear()


def test_an_application_is_created_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; what is not given has the default of a new one."""
    foretold, done = rig.four_ways("application", **PAYROLL)
    assert foretold["application"] == {**done["application"], "version": 0}
    assert done["application"]["version"] == 1
    assert done["application"]["type"] == "config_store"
    assert done["application"]["fields"] == [
        {"name": "host", "masked": False, "label": ""},
        {"name": "password", "masked": True, "label": ""},
    ]
    assert "it is created" in foretold["plan"]["changes"]
    assert done["diff"]["before"] == {"name": "payroll", "state": "absent"}
    put = next(body for method, _target, body in ssod.calls if method == "PUT")
    assert put["if_version"] == 0


@pytest.mark.usefixtures("payroll")
@pytest.mark.parametrize(
    "changes",
    [
        {"description": ""},
        {"enabled": False},
        {"users": []},
        {"type": "group"},
        {"flags": {"ticket_timeout": 60}},
        {"administrators": ["group:admins"]},
        {"fields": [{"name": "host"}, {"name": "password"}]},
        {"fields": [{"name": "host"}, {"name": "password", "masked": True}, {"name": "port"}]},
        {"fields": [{"name": "host", "label": "Host"}, {"name": "password", "masked": True}]},
        {"fields": [{"name": "password", "masked": True}, {"name": "host"}]},
    ],
)
def test_another_value_is_a_change_of_that_alone(rig: Rig, ssod: FakeSsod, changes: dict[str, t.Any]) -> None:
    """Also an empty one; options that are not given stay, and the version read is the version replaced."""
    before = ssod.state["applications"]["payroll"]
    _foretold, done = rig.four_ways("application", name="payroll", **changes)
    kept = {"description", "contact", "enabled", "administrators", "users", "fields", "type", "flags"} - set(changes)
    assert {name: done["application"][name] for name in kept} == {name: before[name] for name in kept}
    assert done["application"]["version"] == 2
    put = next(body for method, _target, body in ssod.calls if method == "PUT")
    assert put["if_version"] == 1


@pytest.mark.usefixtures("payroll")
def test_another_order_of_people_is_no_change(rig: Rig) -> None:
    """They are sets; the fields have an order."""
    assert not rig.run("application", name="payroll", administrators=["certificate:batch7", "group:admins"]).changed


def test_a_new_application_is_disabled_unless_told_otherwise(rig: Rig) -> None:
    """It is given to nobody by mistake, and enabled only when somebody may use it."""
    assert rig.run("application", name="new", fields=[])["application"]["enabled"] is False
    for check in (True, False):
        outcome = rig.run("application", check=check, name="new", enabled=True)
        assert (outcome["problem"], outcome["conditions"]) == ("application-incomplete", ["nobody may use it"])


@pytest.mark.usefixtures("payroll")
@pytest.mark.parametrize("change", [{"fields": [{"name": "password", "masked": True}]}, {"type": "individual"}])
def test_stored_data_is_lost_only_when_told(rig: Rig, ssod: FakeSsod, change: dict[str, t.Any]) -> None:
    """In check mode it is refused as well, and names what would be lost."""
    ssod.state["configs"]["payroll", "gateway"] = {"properties": {"host": "h"}, "version": 4}
    for check in (True, False):
        outcome = rig.run("application", check=check, name="payroll", **change)
        assert outcome["problem"] == "data-loss"
        assert len(outcome["conditions"]) == 1
    assert ssod.state["applications"]["payroll"]["version"] == 1
    foretold = rig.run("application", check=True, name="payroll", data_loss="accept", **change)
    done = rig.run("application", name="payroll", data_loss="accept", **change)
    assert foretold["plan"] == done["plan"]
    assert len(done["plan"]["destroys"]) == 1


@pytest.mark.usefixtures("payroll")
def test_an_application_is_deleted_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run."""
    _foretold, done = rig.four_ways("application", name="payroll", state="absent")
    assert done["application"] == {"name": "payroll", "state": "absent"}
    assert ssod.state["applications"] == {}


@pytest.mark.usefixtures("payroll")
@pytest.mark.parametrize("check", [False, True])
def test_an_application_with_configuration_is_not_deleted(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """By default it refuses, in check mode as well."""
    ssod.state["configs"]["payroll", "gateway"] = {"properties": {"host": "h"}, "version": 4}
    outcome = rig.run("application", check=check, name="payroll", state="absent")
    assert outcome["problem"] == "application-in-use"
    assert ssod.written() == []


@pytest.mark.usefixtures("payroll")
def test_configuration_is_deleted_only_when_told(rig: Rig, ssod: FakeSsod) -> None:
    """The enumeration's other value deletes both."""
    ssod.state["configs"]["payroll", "gateway"] = {"properties": {"host": "h"}, "version": 4}
    rig.four_ways("application", name="payroll", state="absent", data_loss="accept")
    assert ssod.state["configs"] == {}


@pytest.mark.usefixtures("payroll")
def test_somebody_who_wrote_first_is_not_overwritten(rig: Rig, ssod: FakeSsod) -> None:
    """A conflict fails; the task can be run again."""
    ssod.instead["PUT /v1/applications/payroll"] = Problem(409, "version-conflict")
    assert rig.run("application", name="payroll", enabled=False)["problem"] == "version-conflict"


def test_only_absent_is_absent(rig: Rig, ssod: FakeSsod) -> None:
    """A caller that may not read an application does not create it."""
    ssod.instead["GET /v1/applications/payroll"] = Problem(403, "forbidden")
    assert rig.run("application", **PAYROLL)["problem"] == "forbidden"
    assert ssod.written() == []


@pytest.mark.usefixtures("payroll")
def test_the_info_twin_returns_what_the_module_takes(rig: Rig) -> None:
    """One or all, each can be given back, and nothing changes."""
    for options in ({}, {"name": "payroll"}):
        (found,) = rig.run("application_info", **options)["applications"]
        del found["version"]
        assert not rig.run("application", **found).changed
    assert rig.run("application_info", name="none")["applications"] == []
