"""`ssoctl servers` enrols servers and removes them."""

from __future__ import annotations

import json

from fake_ssod import FakeSsod, problem
from ssoctl_harness import Ssoctl, server_document, status_document


def test_list_shows_every_server_with_its_role(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {"GET /v1/servers": {"servers": status_document()["servers"]}, "GET /v1/status": status_document()}
    out = ssoctl("servers", "list").out
    assert [line.split()[:3:2] for line in out.splitlines() if ".example" in line] == [
        ["m1", "master"],
        ["s1", "standby"],
        ["s2", "server"],
    ]


def test_list_as_json_is_the_daemons_document(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/servers"] = {"servers": [server_document("m1")]}
    assert json.loads(ssoctl("servers", "list", "--json").out) == {"servers": [server_document("m1")]}


def test_enrol_sends_address_and_standing(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/servers/m2"] = server_document("m2")
    finished = ssoctl("servers", "enrol", "m2", "m2.example:7443", "--may-become-master")
    assert (finished.code, finished.out) == (0, "m2 at m2.example:7443 is enrolled, as a standby\n")
    assert fake.requests[0].body == {"address": "m2.example:7443", "may_become_master": True}


def test_an_ordinary_server_is_enrolled_unless_said_otherwise(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/servers/s2"] = server_document("s2", may_become_master=False)
    assert ssoctl("servers", "enrol", "s2", "s2.example:7443").out.endswith("as a server\n")
    assert fake.requests[0].body["may_become_master"] is False


def test_a_name_is_quoted_into_the_path(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    ssoctl("servers", "enrol", "a/../b?c", "x:1")
    assert fake.asked() == ["PUT /v1/servers/a%2F..%2Fb%3Fc"]


def test_remove_without_a_terminal_needs_yes(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("servers", "remove", "s2").code == 2
    assert fake.requests == []


def test_remove_with_yes(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["DELETE /v1/servers/s2"] = {}
    assert ssoctl("servers", "remove", "s2", "--yes").code == 0
    assert ssoctl("servers", "remove", "s2", "--yes", "--json").out == "{}\n"


def test_removing_a_server_that_is_not_there_is_exit_code_4(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["DELETE /v1/servers/s9"] = problem(404, "server-not-found")
    assert ssoctl("servers", "remove", "s9", "--yes").code == 4
