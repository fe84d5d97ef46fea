"""The whole store leaves one environment as ciphertexts, and comes back into it when it is empty: just as it was, or not at all."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pki import Authority
from postgres import Postgres
from servers import Fleet, Server

from ssod.storage.migrations import migrate

CANARY = "canary-value-3d70"
MASKED = {"name": "password", "masked": True, "label": "Password"}
APPLICATIONS: dict[str, Any] = {
    "store": {"enabled": True, "users": ["group:root"], "fields": [{"name": "host"}, MASKED]},
    "gateway": {
        "type": "individual",
        "enabled": True,
        "users": ["certificate:job"],
        "flags": {"tickets_allowed": True, "ticket_timeout": 30},
        "fields": [MASKED],
    },
    "empty": {"type": "group", "description": "disabled, and with nothing in it"},
}
MAPPINGS: dict[str, Any] = {
    "user:alice": {"external_id": "A1", "credentials": {"password": CANARY}},
    "certificate:job": {"external_id": "J", "credentials": {"password": CANARY}, "position": 3},
    "user:bob": {"external_id": "B ü/\u2028", "position": 7},
}
SECTIONS = ("applications", "roles", "configs", "mappings", "disabled_by_user", "unit_credentials")
IMPORT, EXPORT = "/v1/import", "/v1/export"


def whole(server: Server) -> dict[str, Any]:
    """Every page of the export, as one document."""
    pages: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        pages.append(server.ok("GET", EXPORT + after))
        following = pages[-1].pop("next")
        after = None if following is None else "?" + urlencode({"after": following})
    return pages[0] | {section: [entry for page in pages for entry in page[section]] for section in SECTIONS}


def empty(server: Server) -> None:
    for application in server.ok("GET", "/v1/applications")["applications"]:
        server.ok("DELETE", f"/v1/applications/{application['name']}?with_data=true")
    server.ok("PUT", "/v1/roles/sso_auditor", {"members": []})


def sizes(document: dict[str, Any]) -> dict[str, int]:
    return {section: len(document[section]) for section in SECTIONS if section != "disabled_by_user"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("store")
    url = f"sqlite:///{root}/sso.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        url = postgres.url()
    migrate(url)
    made = Fleet(root, authority, url)
    made.add("m1")
    try:
        made.make_ready()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def job(fleet: Fleet) -> tuple[Path, Path]:
    return fleet.authority.issue(fleet.root, "job")


@pytest.fixture
def m1(fleet: Fleet, job: tuple[Path, Path]) -> Server:
    """With something of everything."""
    server = fleet["m1"]
    empty(server)
    for name, application in APPLICATIONS.items():
        server.ok("PUT", f"/v1/applications/{name}", application)
    server.ok("PUT", "/v1/applications/store/config/in.a", {"properties": {"host": "h", "password": CANARY}})
    server.ok("PUT", "/v1/applications/store/config/none", {"properties": {}})
    for principal, mapping in MAPPINGS.items():
        server.ok("PUT", f"/v1/applications/gateway/mappings/{principal}", mapping)
    assert server.call("PUT", "/v1/applications/gateway/mapping", {"enabled": False}, files=job)[0] == 200
    server.ok("PUT", "/v1/roles/sso_auditor", {"members": ["group:auditors", "certificate:siem"]})
    server.ok("PUT", "/v1/applications/store/unit-credentials/web%40.service/pw", {"config": "in.a", "field": "password"})
    return server


def test_what_was_exported_comes_back_into_an_empty_environment(m1: Server) -> None:
    """Values, roles, what a user has disabled, and the ciphertexts themselves; a second time nothing is new."""
    exported = whole(m1)
    assert CANARY not in json.dumps(exported)
    assert sizes(exported) == {"applications": 3, "roles": 1, "configs": 2, "mappings": 3, "unit_credentials": 1}
    assert exported["disabled_by_user"] == [{"application": "gateway", "principal": "certificate:job"}]
    empty(m1)
    foretold = m1.ok("POST", IMPORT + "?dry_run=true", exported)
    assert sizes(whole(m1))["applications"] == 0
    assert m1.ok("POST", IMPORT, exported) == foretold
    assert foretold == {"created": sizes(exported), "unchanged": dict.fromkeys(sizes(exported), 0)}
    assert whole(m1) == exported
    assert m1.ok("POST", IMPORT, exported) == {"created": foretold["unchanged"], "unchanged": foretold["created"]}
    config = m1.ok("GET", "/v1/applications/store/config/in.a?reveal=true")
    assert config["properties"] == {"host": "h", "password": CANARY}


def test_every_entry_says_what_has_been_imported(m1: Server) -> None:
    """One line an entry in the audit log, with the key of its values; and none of a dry run."""
    exported = whole(m1)
    empty(m1)
    before = m1.audit.read_text()
    m1.ok("POST", IMPORT + "?dry_run=true", exported)
    m1.ok("POST", IMPORT, exported)
    lines = [json.loads(line) for line in m1.audit.read_text().removeprefix(before).splitlines()]
    imported = [line["subject"] for line in lines if line["act"] == "import store"]
    assert len(imported) == sum(sizes(exported).values())
    assert {"application gateway", "role sso_auditor", "configuration store/in.a"} < set(imported)
    assert "mapping gateway/user:alice" in imported
    assert "credential pw of unit web@.service" in imported


def altered(exported: dict[str, Any], section: str, number: int, **members: Any) -> dict[str, Any]:
    document = copy.deepcopy(exported)
    document[section][number] |= members
    return document


@pytest.mark.parametrize(
    ("section", "number", "members", "words"),
    [
        ("applications", 2, {"contact": "x"}, "application store is there already, and is another"),
        ("roles", 0, {"members": []}, "role sso_auditor is there already, and is another"),
        ("roles", 0, {"role": "king"}, "there is no role king"),
        ("roles", 0, {"members": ["alice"]}, "role sso_auditor: 'alice' names nobody"),
        ("configs", 0, {"ciphertexts": {}}, "configuration store/in.a is there already, and is another"),
        ("configs", 0, {"application": "gone"}, "configuration gone/in.a: there is no such application"),
        ("configs", 0, {"ciphertexts": {"port": "hf1.AAAA"}}, "configuration store/in.a: the application has no field port"),
        ("configs", 0, {"ciphertexts": {"host": "hf1.AAAA"}}, "configuration store/in.a, field host: the ciphertext is cut off"),
        ("configs", 0, {"ciphertexts": {"host": "h"}}, "configuration store/in.a, field host: the ciphertext does not begin with"),
        ("configs", 0, {"name": "out"}, "configuration store/out, field host: the ciphertext was altered, or belongs to another"),
        ("configs", 0, {"name": "../x"}, "configuration store/../x: configuration '../x' is not allowed"),
        ("mappings", 1, {"external_id": "A2"}, "mapping gateway/user:alice is there already, and is another"),
        ("mappings", 1, {"position": 1}, "mapping gateway/user:alice is there already, and is another"),
        ("mappings", 1, {"principal": "group:g"}, "mapping gateway/group:g: an application of type individual maps"),
        ("mappings", 1, {"principal": "user:eve", "ciphertexts": {}}, "mapping gateway/user:eve: A1 is the account of user:alice"),
        ("mappings", 1, {"external_id": "J"}, "mapping gateway/user:alice: J is the account of certificate:job"),
        ("mappings", 1, {"principal": "user:bob"}, "mapping gateway/user:bob is there 2 times"),
        ("disabled_by_user", 0, {"principal": "user:eve"}, "mapping gateway/user:eve is disabled by its user, and is not among"),
        ("unit_credentials", 0, {"field": "host"}, "credential pw of unit web@.service is there already, and is another"),
        ("unit_credentials", 0, {"unit": "web"}, "credential pw of unit web: 'web' is no unit"),
    ],
)
def test_what_cannot_be_is_named_and_nothing_is_imported(
    m1: Server, section: str, number: int, members: dict[str, Any], words: str
) -> None:
    """One entry that cannot be keeps out every other."""
    exported = whole(m1)
    document = altered(exported, section, number, **members)
    document["applications"].append(document["applications"][0] | {"name": "another"})
    refusal = m1.refused("POST", IMPORT, document)
    assert (refusal["status"], refusal["type"]) == (409, "import-refused")
    assert any(condition.startswith(words) for condition in refusal["conditions"]), refusal["conditions"]
    assert whole(m1) == exported


@pytest.mark.parametrize("timeout", [0, -1, 10**12])
def test_a_ticket_lives_no_longer_by_an_import(m1: Server, timeout: int) -> None:
    """The bounds are those of an application that is put."""
    application = {"name": "long", "type": "group", "enabled": False, "flags": {"ticket_timeout": timeout}}
    body = {"format": "holdfast store 1", "applications": [application]}
    assert m1.refused("POST", IMPORT, body)["type"] == "malformed-request"


def test_every_condition_is_told_and_many_are_counted(m1: Server) -> None:
    """A hundred, and the number of the others."""
    exported = whole(m1)
    configs = [{"application": "gone", "name": f"c{number}", "ciphertexts": {}} for number in range(150)]
    refusal = m1.refused("POST", IMPORT, exported | {"configs": configs})
    assert len(refusal["conditions"]) == 101
    assert refusal["conditions"][-1] == "and 50 more"


def test_a_store_of_many_pages_is_whole(m1: Server) -> None:
    """No entry is lost between two pages, and none comes twice."""
    mappings = [
        {"principal": f"user:u{number:04}", "external_id": f"U{number}", "position": 0, "credentials": {"password": "v"}}
        for number in range(1000)
    ]
    m1.ok("POST", "/v1/applications/gateway/mappings/load", {"mappings": mappings})
    for number in range(40):
        m1.ok("PUT", f"/v1/applications/store/config/large{number}", {"properties": {"host": "x" * 60_000}})
    exported = whole(m1)
    assert sizes(exported) == {"applications": 3, "roles": 1, "configs": 42, "mappings": 1003, "unit_credentials": 1}
    assert len({entry["principal"] for entry in exported["mappings"]}) == 1003
    assert m1.ok("GET", EXPORT)["next"] is not None
    assert len(m1.ok("GET", EXPORT)["configs"]) < 42


@pytest.mark.parametrize("after", ["", "x", "[]", "[0,[]]", '[9,["a"]]', '[3,["a"]]', '[0,["a","b"]]', '[-1,["a"]]', "[0,[1]]"])
def test_a_place_that_no_page_has_named_is_refused(m1: Server, after: str) -> None:
    """And not taken for another place."""
    assert m1.refused("GET", EXPORT + "?" + urlencode({"after": after}))["type"] == "invalid-value"


def test_one_entry_can_be_put_as_it_was_exported(m1: Server) -> None:
    """A configuration and a mapping: no change where they are, and what they were where they have been changed."""
    exported = whole(m1)
    config, alice = exported["configs"][0], exported["mappings"][1]
    path, body = "/v1/applications/store/config/in.a", {"ciphertexts": config["ciphertexts"]}
    assert m1.ok("PUT", path, body) == {"version": 1, "changes": {"added": [], "changed": [], "removed": []}}
    m1.ok("PUT", path, {"properties": {"password": "another"}})
    assert m1.ok("PUT", path, body)["changes"] == {"added": ["host"], "changed": ["password"], "removed": []}
    assert m1.ok("GET", path + "?reveal=true")["properties"] == {"host": "h", "password": CANARY}
    mapping = {"external_id": "A1", "ciphertexts": alice["ciphertexts"]}
    written = m1.ok("PUT", "/v1/applications/gateway/mappings/user:alice", mapping)
    assert (written["version"], written["changes"]["changed"]) == (1, [])


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("config/in.a", {}, "invalid-value"),
        ("config/in.a", {"properties": {}, "ciphertexts": {}}, "invalid-value"),
        ("config/in.a", {"ciphertexts": {"host": "h"}}, "ciphertext-rejected"),
        ("config/other", {"ciphertexts": None}, "ciphertext-rejected"),
        ("mappings/user:alice", {"credentials": {}, "ciphertexts": {}}, "invalid-value"),
        ("mappings/user:alice", {"ciphertexts": {"password": "hf1.AAAA"}}, "ciphertext-rejected"),
    ],
)
def test_a_ciphertext_opens_in_its_place_alone(m1: Server, path: str, body: dict[str, Any], problem: str) -> None:
    """And is given in the place of a value, not beside it."""
    if body == {"ciphertexts": None}:
        body = {"ciphertexts": whole(m1)["configs"][0]["ciphertexts"]}
    application = "store" if path.startswith("config") else "gateway"
    members = {} if application == "store" else {"external_id": "A1"}
    assert m1.refused("PUT", f"/v1/applications/{application}/{path}", members | body)["type"] == problem


def test_nobody_but_an_sso_administrator_may(m1: Server, job: tuple[Path, Path]) -> None:
    """Not even a user of an application in it."""
    assert m1.call("GET", EXPORT, files=job)[0] == 403
    assert m1.call("POST", IMPORT, {"format": "holdfast store 1"}, files=job)[0] == 403
