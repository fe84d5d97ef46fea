# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""master_secret_distribution: every named server holds the current key id, or the failure says which does not and why."""

from __future__ import annotations

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod, Problem
from ansible_collections.holdfast.sso.tests.unit.rig import Rig


def test_a_server_that_held_another_key_is_a_change(rig: Rig, ssod: FakeSsod) -> None:
    """Check, run, check, run: the change is what the server holds, and the diff shows key ids."""
    old = ssod.generate()
    ssod.spread()
    new = ssod.generate()
    ssod.spread("m1", "m2")
    foretold, done = rig.four_ways("master_secret_distribution")
    assert foretold["diff"]["before"] == done["diff"]["before"] == {"m1": new, "m2": new, "s1": old}
    assert foretold["diff"]["after"] == done["diff"]["after"] == {"m1": new, "m2": new, "s1": new}
    assert done["distribution"]["key_id"] == new


def test_check_mode_only_reads(rig: Rig, ssod: FakeSsod) -> None:
    """It tells nobody to refresh."""
    ssod.generate()
    assert rig.run("master_secret_distribution", check=True).changed
    assert [target for _method, target, _body in ssod.calls] == ["/v1/status"]


def test_only_named_servers_are_asked(rig: Rig, ssod: FakeSsod) -> None:
    """Names and the time that each has are handed on."""
    ssod.generate()
    ssod.spread("m2")
    assert not rig.run("master_secret_distribution", servers=["m2"], timeout=3).changed
    assert ssod.calls[-1][2] == {"servers": ["m2"], "timeout": 3}


def test_every_server_that_does_not_hold_it_is_named_with_its_reason(rig: Rig, ssod: FakeSsod) -> None:
    """All of them, not the first; and what is known of each is returned."""
    current = ssod.generate()
    held = {"attached": True, "epoch": 3, "seconds": 0.1}
    servers = [
        {"name": "m1", "reachable": True, "key_id": current, "detail": None, **held},
        {"name": "m2", "reachable": False, "key_id": None, "detail": "no answer within 10 s", **held},
        {"name": "s1", "reachable": True, "key_id": "01ab", "detail": None, **held},
        {"name": "s2", "reachable": True, "key_id": None, "detail": None, **held},
    ]
    ssod.instead["POST /v1/secret/distribute"] = {"key_id": current, "servers": servers}
    outcome = rig.run("master_secret_distribution")
    assert outcome.failed
    assert outcome["conditions"] == [
        "m2 cannot be reached: no answer within 10 s",
        "s1 holds 01ab",
        "s2 holds no secret",
    ]
    assert outcome["msg"].startswith(f"3 of 4 servers do not hold the current master secret {current}: m2 cannot")
    assert outcome["distribution"]["servers"] == servers


def test_a_named_server_that_the_answer_leaves_out_is_a_failure(rig: Rig, ssod: FakeSsod) -> None:
    """Silence does not prove that a server holds the secret."""
    ssod.instead["POST /v1/secret/distribute"] = {"key_id": ssod.generate(), "servers": []}
    assert rig.run("master_secret_distribution", servers=["s1"])["conditions"] == ["s1 was not asked"]


@pytest.mark.parametrize("check", [False, True])
def test_names_that_are_not_enrolled_are_refused_at_once(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """In check mode as well, and before anybody is told to refresh."""
    ssod.generate()
    outcome = rig.run("master_secret_distribution", check=check, servers=["s9", "m1", "s8"])
    assert outcome["problem"] == "server-not-found"
    assert outcome["conditions"] == ["s8 is not enrolled", "s9 is not enrolled"]
    assert ssod.written() == []


def test_without_a_database_nothing_is_claimed(rig: Rig, ssod: FakeSsod) -> None:
    """Unknown servers are not an empty list of servers that all hold the secret."""
    database = {"reachable": False, "kind": "postgresql", "detail": "db1 refuses the connection"}
    ssod.instead["GET /v1/status"] = {"server": {}, "database": database, "environment": None, "servers": None}
    outcome = rig.run("master_secret_distribution")
    assert outcome["problem"] == "database-unavailable"
    assert "db1 refuses the connection" in outcome["msg"]


def test_a_refusal_of_the_daemon_arrives(rig: Rig, ssod: FakeSsod) -> None:
    """For instance on a server that is not the master."""
    ssod.generate()
    ssod.instead["POST /v1/secret/distribute"] = Problem(409, "not-master")
    assert rig.run("master_secret_distribution")["problem"] == "not-master"


@pytest.mark.parametrize("check", [False, True])
def test_no_secret_is_not_a_secret_that_everybody_holds(rig: Rig, ssod: FakeSsod, check: bool) -> None:
    """Without a secret no server held another one, so nothing changes; the run is the daemon's to refuse."""
    ssod.instead["POST /v1/secret/distribute"] = Problem(409, "no-secret")
    outcome = rig.run("master_secret_distribution", check=check)
    assert outcome.failed
    assert outcome["problem"] == "no-secret"
