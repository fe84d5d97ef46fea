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
    assert foretold["application"]["enabled"] is True
    assert done["application"]["version"] == 1
    assert done["application"]["fields"] == [{"name": "host", "masked": False}, {"name": "password", "masked": True}]
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
        {"administrators": ["group:admins"]},
        {"fields": [{"name": "host"}, {"name": "password"}]},
        {"fields": [{"name": "host"}, {"name": "password", "masked": True}, {"name": "port"}]},
    ],
)
def test_another_value_is_a_change_of_that_alone(rig: Rig, ssod: FakeSsod, changes: dict[str, t.Any]) -> None:
    """Also an empty one; options that are not given stay, and the version read is the version replaced."""
    before = ssod.state["applications"]["payroll"]
    _foretold, done = rig.four_ways("application", name="payroll", **changes)
    kept = {"description", "contact", "enabled", "administrators", "users", "fields"} - set(changes)
    assert {name: done["application"][name] for name in kept} == {name: before[name] for name in kept}
    assert done["application"]["version"] == 2
    put = next(body for method, _target, body in ssod.calls if method == "PUT")
    assert put["if_version"] == 1


@pytest.mark.usefixtures("payroll")
def test_another_order_is_no_change(rig: Rig) -> None:
    """People and fields are sets."""
    assert not rig.run(
        "application",
        name="payroll",
        administrators=["certificate:batch7", "group:admins"],
        fields=[{"name": "password", "masked": True}, {"name": "host"}],
    ).changed


@pytest.mark.usefixtures("payroll")
def test_an_application_is_deleted_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run."""
    _foretold, done = rig.four_ways("application", name="payroll", state="absent")
    assert done["application"] == {"name": "payroll", "state": "absent"}
    assert ssod.state["applications"] == {}


@pytest.mark.usefixtures("payroll")
@pytest.mark.parametrize("check", [False, True])
def test_an_application_with_configuration_is_not_deleted(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """By default it refuses and names what would be lost, in check mode as well."""
    ssod.state["configs"]["payroll", "gateway"] = {"properties": {"host": "h"}, "version": 4}
    outcome = rig.run("application", check=check, name="payroll", state="absent")
    assert outcome["problem"] == "application-in-use"
    assert outcome["conditions"] == ["gateway (version 4) is there"]
    assert ssod.written() == []


@pytest.mark.usefixtures("payroll")
def test_configuration_is_deleted_only_when_told(rig: Rig, ssod: FakeSsod) -> None:
    """The enumeration's other value deletes both."""
    ssod.state["configs"]["payroll", "gateway"] = {"properties": {"host": "h"}, "version": 4}
    rig.four_ways("application", name="payroll", state="absent", on_config="delete")
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
