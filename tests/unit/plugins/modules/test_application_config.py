# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""application_config and application_config_info: names are shown, values are not."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

CANARY = "canary-password-c04e"
GATEWAY: dict[str, t.Any] = {"application": "payroll", "name": "gateway"}
PROPERTIES = {"host": "gw.example.com", "password": CANARY}


@pytest.fixture
def payroll(ssod: FakeSsod) -> None:
    """An application with fields, one of them masked."""
    fields = [{"name": "host", "masked": False}, {"name": "port", "masked": False}, {"name": "password", "masked": True}]
    ssod.put_application("payroll", body={"description": "", "fields": fields})


@pytest.fixture
def gateway(rig: Rig, ssod: FakeSsod, payroll: None) -> None:
    """A configuration that is there."""
    assert rig.run("application_config", **GATEWAY, properties=PROPERTIES).changed
    ssod.calls.clear()


@pytest.mark.usefixtures("payroll")
def test_a_configuration_is_created_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; check mode is the daemon's own dry run, and no value is in any output."""
    foretold, done = rig.four_ways("application_config", **GATEWAY, properties=PROPERTIES)
    assert foretold["config"] == done["config"]
    assert done["config"] == {**GATEWAY, "state": "present", "version": 1, "fields": ["host", "password"]}
    assert done["changes"] == {"added": ["host", "password"], "changed": [], "removed": []}
    assert ssod.state["configs"]["payroll", "gateway"]["properties"] == PROPERTIES
    assert CANARY not in rig.printed
    assert "gw.example.com" not in rig.printed


@pytest.mark.usefixtures("gateway")
def test_the_diff_marks_fields_and_shows_no_value(rig: Rig, ssod: FakeSsod) -> None:
    """Added, changed and removed can be told apart by names alone."""
    properties = {"password": CANARY + "-new", "port": "8443"}
    foretold, done = rig.four_ways("application_config", **GATEWAY, properties=properties)
    assert foretold["diff"] == done["diff"]
    assert done["diff"]["before"]["fields"] == ["host", "password"]
    assert done["diff"]["after"]["fields"] == ["password (changed)", "port (added)"]
    assert done["diff"]["after"]["version"] == 2
    assert done["changes"] == {"added": ["port"], "changed": ["password"], "removed": ["host"]}
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("gateway")
def test_a_configuration_is_deleted_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; no properties are needed."""
    _foretold, done = rig.four_ways("application_config", **GATEWAY, state="absent")
    assert done["config"] == {**GATEWAY, "state": "absent"}
    assert done["changes"]["removed"] == ["host", "password"]
    assert ssod.state["configs"] == {}


@pytest.mark.usefixtures("payroll")
def test_an_empty_configuration_is_one(rig: Rig) -> None:
    """There or not there is a difference, even without fields."""
    rig.four_ways("application_config", **GATEWAY, properties={})


@pytest.mark.usefixtures("gateway")
def test_nothing_stored_is_read(rig: Rig, ssod: FakeSsod) -> None:
    """The daemon compares; the module asks for the list of names only."""
    rig.run("application_config", **GATEWAY, properties=PROPERTIES)
    assert [target for method, target, _body in ssod.calls if method == "GET"] == ["/v1/applications/payroll/config"]


@pytest.mark.usefixtures("gateway")
def test_the_version_read_is_the_version_replaced(rig: Rig, ssod: FakeSsod) -> None:
    """Compare-and-set: somebody who wrote first is not overwritten."""
    rig.run("application_config", **GATEWAY, properties={"host": "h"})
    assert ssod.calls[-1][2]["if_version"] == 1
    ssod.instead["PUT /v1/applications/payroll/config/gateway"] = Problem(409, "version-conflict")
    assert rig.run("application_config", **GATEWAY, properties={"host": "i"})["problem"] == "version-conflict"


@pytest.mark.usefixtures("payroll")
def test_a_failure_stays_readable_with_everyday_values(rig: Rig) -> None:
    """Values like "payroll", "1" and "field" do not turn the message about them into stars."""
    properties = {"host": "payroll", "port": "1", "prot": "field", "ports": "is"}
    outcome = rig.run("application_config", **GATEWAY, properties=properties)
    assert outcome["problem"] == "invalid-value"
    assert outcome["conditions"] == ["ports is not declared", "prot is not declared"]
    assert outcome["msg"].startswith("payroll has no such fields. (1) ports is not declared. (2) prot is not declared.")


@pytest.mark.usefixtures("payroll")
def test_everyday_values_are_not_shown_either(rig: Rig) -> None:
    """They are masked by name in the invocation, whatever they are."""
    outcome = rig.run("application_config", **GATEWAY, properties={"host": "h7", "password": "x9y8z7"})
    assert outcome["invocation"]["module_args"]["properties"] == {
        "host": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER",
        "password": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER",
    }
    assert "x9y8z7" not in rig.printed
    assert "h7" not in rig.printed
    assert outcome["config"]["version"] == 1


@pytest.mark.usefixtures("payroll")
def test_a_value_that_a_daemon_repeats_is_masked(rig: Rig, ssod: FakeSsod) -> None:
    """The second net: a value of some length is taken out of any message."""
    leak = Problem(422, "invalid-value", f"password cannot be {CANARY}")
    ssod.instead["PUT /v1/applications/payroll/config/gateway"] = leak
    outcome = rig.run("application_config", **GATEWAY, properties=PROPERTIES)
    assert "password cannot be ****" in outcome["msg"]
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("payroll")
def test_values_that_yaml_has_changed_are_refused(rig: Rig, ssod: FakeSsod) -> None:
    """A boolean, a decimal and nothing at all are not what was written; each field is named, with the fix."""
    properties = {"host": None, "port": 8443, "password": True, "rate": 1.10}
    outcome = rig.run("application_config", **GATEWAY, properties=properties)
    assert outcome["conditions"] == ["host is NoneType", "password is bool", "rate is float"]
    assert outcome["next"] == "put them in quotes"
    assert ssod.calls == []


@pytest.mark.usefixtures("payroll")
def test_whole_numbers_are_text(rig: Rig, ssod: FakeSsod) -> None:
    """A port without quotes is what everybody writes."""
    rig.four_ways("application_config", **GATEWAY, properties={"port": 8443})
    assert ssod.state["configs"]["payroll", "gateway"]["properties"] == {"port": "8443"}


def test_an_absent_application_is_an_error_except_in_check_mode(rig: Rig, ssod: FakeSsod) -> None:
    """In check mode a task before this one would have made it; a warning says so."""
    foretold = rig.run("application_config", check=True, **GATEWAY, properties=PROPERTIES)
    assert foretold.changed
    assert "payroll is absent" in foretold.printed
    assert rig.run("application_config", **GATEWAY, properties=PROPERTIES)["problem"] == "application-not-found"
    assert not rig.run("application_config", **GATEWAY, state="absent").changed


@pytest.mark.usefixtures("gateway")
def test_the_info_twin_leaves_masked_values_out(rig: Rig, ssod: FakeSsod) -> None:
    """What is masked is named; the rest can be given back."""
    for options in (GATEWAY, {"application": "payroll"}):
        (found,) = rig.run("application_config_info", **options)["configs"]
        assert found["properties"] == {"host": "gw.example.com"}
        assert found["masked"] == ["password"]
        assert found["state"] == "present"
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("gateway")
def test_the_info_twin_does_not_trust_the_daemon_to_mask(rig: Rig, ssod: FakeSsod) -> None:
    """A masked value that arrives all the same is left out."""
    there = ssod.get_config("payroll", "gateway")
    there["properties"]["password"] = CANARY
    ssod.instead["GET /v1/applications/payroll/config/gateway"] = there
    (found,) = rig.run("application_config_info", **GATEWAY)["configs"]
    assert found["properties"] == {"host": "gw.example.com"}
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("gateway")
def test_what_is_absent_is_an_empty_list(rig: Rig) -> None:
    """An absent configuration, and one of an absent application."""
    assert rig.run("application_config_info", application="payroll", name="none")["configs"] == []
    assert rig.run("application_config_info", application="none")["configs"] == []
