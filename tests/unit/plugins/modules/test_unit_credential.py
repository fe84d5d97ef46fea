# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""unit_credential and unit_credential_info."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

NAMED: dict[str, t.Any] = {"application": "payroll", "unit": "sftp@.service", "credential": "password"}
GRANT: dict[str, t.Any] = {**NAMED, "config": "gateway", "field": "password"}


@pytest.fixture
def payroll(ssod: FakeSsod) -> None:
    """An application with a field."""
    ssod.put_application("payroll", body={"description": "", "fields": [{"name": "password", "masked": True}]})


@pytest.mark.usefixtures("payroll")
def test_a_grant_is_made_changed_and_taken_away_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; each of them."""
    for options, state in ((GRANT, "present"), ({**GRANT, "config": "other"}, "present"), ({**NAMED, "state": "absent"}, "absent")):
        ssod.calls.clear()
        foretold, done = rig.four_ways("unit_credential", **options)
        assert foretold["unit_credential"] == done["unit_credential"] == {**options, "state": state}
    assert ssod.state["unit_credentials"] == {}


@pytest.mark.usefixtures("payroll")
def test_check_mode_tells_what_would_be_refused(rig: Rig) -> None:
    """A field that is not declared, by the daemon's own word."""
    outcome = rig.run("unit_credential", check=True, **{**GRANT, "field": "pin"})
    assert outcome["problem"] == "invalid-value"


def test_an_absent_application_is_an_error_except_in_check_mode(rig: Rig) -> None:
    """In check mode a task before this one would have made it; a warning says so."""
    foretold = rig.run("unit_credential", check=True, **GRANT)
    assert foretold.changed
    assert "payroll is absent" in foretold.printed
    assert rig.run("unit_credential", **GRANT)["problem"] == "application-not-found"
    assert not rig.run("unit_credential", **NAMED, state="absent").changed


@pytest.mark.usefixtures("payroll")
def test_the_info_twin_can_be_given_back(rig: Rig) -> None:
    """Each grant in the shape of the module's options; none of an absent application."""
    rig.run("unit_credential", **GRANT)
    (found,) = rig.run("unit_credential_info", application="payroll")["unit_credentials"]
    assert not rig.run("unit_credential", **found).changed
    assert rig.run("unit_credential_info", application="none")["unit_credentials"] == []
