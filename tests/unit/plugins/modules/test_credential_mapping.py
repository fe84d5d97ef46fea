# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""credential_mapping and credential_mapping_info: names are shown, credentials are not."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_mappings import sealed
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

CANARY = "canary-password-91bd"
ALICE: dict[str, t.Any] = {"application": "gateway", "principal": "user:alice"}
ACCOUNT: dict[str, t.Any] = {**ALICE, "external_id": "A4711", "credentials": {"password": CANARY}}


@pytest.fixture
def gateway(ssod: FakeSsod) -> None:
    """An application for mappings."""
    ssod.put_application("gateway", body={"description": "", "fields": [{"name": "password", "masked": True}]})


@pytest.fixture
def alice(rig: Rig, ssod: FakeSsod, gateway: None) -> None:
    """A mapping that is there."""
    assert rig.run("credential_mapping", **ACCOUNT).changed
    ssod.calls.clear()


@pytest.mark.usefixtures("gateway")
def test_a_mapping_is_created_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run; check mode is the daemon's own dry run, and no value is in any output."""
    foretold, done = rig.four_ways("credential_mapping", **ACCOUNT)
    assert foretold["mapping"] == done["mapping"]
    assert done["mapping"] == {
        **ALICE,
        "state": "present",
        "external_id": "A4711",
        "position": 0,
        "enabled": True,
        "disabled_by_user": False,
        "disabled_by_administrator": False,
        "fields": ["password"],
        "version": 1,
    }
    assert done["changes"] == {"added": ["password"], "changed": [], "removed": [], "mapping": []}
    assert done["diff"]["before"] == {**ALICE, "state": "absent"}
    assert ssod.state["mappings"]["gateway", "user:alice"]["credentials"] == {"password": CANARY}
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("options", "changes", "fields"),
    [
        ({"credentials": {"password": CANARY + "-new"}}, {"changed": ["password"]}, ["password (changed)"]),
        ({"credentials": {"pin": "1234"}}, {"added": ["pin"], "removed": ["password"]}, ["pin (added)"]),
        ({"credentials": {}}, {"removed": ["password"]}, []),
        ({"external_id": "A0815"}, {"mapping": ["external_id"]}, ["password"]),
        ({"position": 3}, {"mapping": ["position"]}, ["password"]),
        ({"disabled_by_administrator": True}, {"mapping": ["disabled_by_administrator"]}, ["password"]),
    ],
)
def test_another_value_is_a_change_of_that_alone(
    rig: Rig, ssod: FakeSsod, options: dict[str, t.Any], changes: dict[str, t.Any], fields: list[str]
) -> None:
    """Names alone tell the changes apart; what is not given stays, and the version read is the version replaced."""
    before = dict(ssod.state["mappings"]["gateway", "user:alice"])
    foretold, done = rig.four_ways("credential_mapping", **ALICE, **options)
    assert foretold["diff"] == done["diff"]
    assert done["changes"] == {"added": [], "changed": [], "removed": [], "mapping": [], **changes}
    assert done["diff"]["after"]["fields"] == fields
    after = ssod.state["mappings"]["gateway", "user:alice"]
    assert {name for name in before if before[name] != after[name]} == {*options, "version"}
    assert next(body for method, _target, body in ssod.calls if method == "PUT")["if_version"] == 1
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("alice")
def test_nothing_stored_is_read(rig: Rig, ssod: FakeSsod) -> None:
    """The daemon compares; the module asks for names only."""
    rig.run("credential_mapping", **ACCOUNT)
    reading = [target for method, target, _body in ssod.calls if method == "GET"]
    assert reading == ["/v1/applications/gateway/mappings/user%3Aalice"]


@pytest.mark.usefixtures("alice")
def test_a_mapping_is_deleted_once(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run."""
    _foretold, done = rig.four_ways("credential_mapping", **ALICE, state="absent")
    assert done["mapping"] == {**ALICE, "state": "absent"}
    assert done["changes"]["removed"] == ["password"]
    assert ssod.state["mappings"] == {}


@pytest.mark.usefixtures("alice")
def test_what_the_user_disabled_stays_disabled(rig: Rig, ssod: FakeSsod) -> None:
    """An administrator's word and the user's are kept apart."""
    ssod.state["mappings"]["gateway", "user:alice"]["disabled_by_user"] = True
    outcome = rig.run("credential_mapping", **ALICE, disabled_by_administrator=False)
    assert not outcome.changed
    assert outcome["mapping"]["enabled"] is False


@pytest.mark.usefixtures("gateway")
def test_a_mapping_without_credentials_begins_disabled(rig: Rig) -> None:
    """And giving it credentials enables it."""
    options = {**ALICE, "external_id": "A4711"}
    assert rig.run("credential_mapping", **options)["mapping"]["enabled"] is False
    assert rig.run("credential_mapping", **ACCOUNT)["mapping"]["enabled"] is True


@pytest.mark.usefixtures("gateway")
def test_a_new_mapping_needs_its_account(rig: Rig, ssod: FakeSsod) -> None:
    """Without external_id there is nothing to map to."""
    outcome = rig.run("credential_mapping", **ALICE, credentials={"password": CANARY})
    assert outcome["problem"] == "invalid-value"
    assert "needs external_id" in outcome["msg"]
    assert ssod.written() == []


@pytest.mark.usefixtures("gateway")
def test_ciphertexts_are_taken_back(rig: Rig, ssod: FakeSsod) -> None:
    """What an export wrote is the same mapping, and no change afterwards."""
    options = {**ALICE, "external_id": "A4711", "ciphertexts": {"password": sealed(CANARY)}}
    rig.four_ways("credential_mapping", **options)
    assert not rig.run("credential_mapping", **ACCOUNT).changed
    assert rig.run("credential_mapping", **ACCOUNT, ciphertexts={"password": "x"}).failed


@pytest.mark.usefixtures("gateway")
def test_values_that_yaml_has_changed_are_refused(rig: Rig, ssod: FakeSsod) -> None:
    """A boolean is not what was written."""
    outcome = rig.run("credential_mapping", **ALICE, external_id="A4711", credentials={"password": True})
    assert outcome["conditions"] == ["password is bool"]
    assert ssod.calls == []


def test_an_absent_application_is_an_error_except_in_check_mode(rig: Rig) -> None:
    """In check mode a task before this one would have made it; a warning says so."""
    foretold = rig.run("credential_mapping", check=True, **ACCOUNT)
    assert foretold.changed
    assert foretold["mapping"]["enabled"] is True
    assert "gateway is absent" in foretold.printed
    assert rig.run("credential_mapping", **ACCOUNT)["problem"] == "application-not-found"
    assert not rig.run("credential_mapping", **ALICE, state="absent").changed
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("alice")
def test_a_value_that_a_daemon_repeats_is_masked(rig: Rig, ssod: FakeSsod) -> None:
    """The second net: a value of some length is taken out of any message."""
    leak = Problem(422, "invalid-value", f"password cannot be {CANARY}")
    ssod.instead["PUT /v1/applications/gateway/mappings/user%3Aalice"] = leak
    assert "password cannot be ****" in rig.run("credential_mapping", **ACCOUNT)["msg"]
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("alice")
def test_the_info_twin_gives_no_value(rig: Rig) -> None:
    """One mapping, or all; what is set is named."""
    for options in (ALICE, {"application": "gateway"}, {"application": "gateway", "external_id": "A4711"}):
        (found,) = rig.run("credential_mapping_info", **options)["mappings"]
        assert {**ALICE, "external_id": "A4711", "fields": ["password"], "state": "present"}.items() <= found.items()
    assert CANARY not in rig.printed


@pytest.mark.usefixtures("alice")
def test_the_info_twin_reads_every_page(rig: Rig, ssod: FakeSsod) -> None:
    """However many mappings there are."""
    for number in range(2500):
        ssod.state["mappings"]["gateway", f"user:u{number:04d}"] = ssod.state["mappings"]["gateway", "user:alice"]
    found = rig.run("credential_mapping_info", application="gateway")["mappings"]
    assert [mapping["principal"] for mapping in found[::2500]] == ["user:alice", "user:u2499"]
    assert len(found) == 2501


@pytest.mark.usefixtures("alice")
def test_what_is_absent_is_an_empty_list(rig: Rig) -> None:
    """An absent mapping, and one of an absent application."""
    assert rig.run("credential_mapping_info", application="gateway", principal="user:bob")["mappings"] == []
    assert rig.run("credential_mapping_info", application="gateway", external_id="none")["mappings"] == []
    assert rig.run("credential_mapping_info", application="none")["mappings"] == []
