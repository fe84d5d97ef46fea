"""Every operation as every role, over both faces: allowed or refused as the table of rights says.

The callers are real: Unix users of this host by the kernel's word, and certificates of the environment's CA.
"""

from __future__ import annotations

import json
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edge import Files, acting_as
from pki import Authority
from postgres import Postgres
from servers import Fleet, Server

from ssod.core.access import RIGHTS, Role
from ssod.storage.migrations import migrate

API = Path(__file__).parents[3] / "docs" / "api.md"

# Who has which role: a user that every Debian has, and the certificate of the same name.
USERS = {
    Role.SSO_ADMINISTRATOR: "daemon",
    Role.SSO_AFFILIATE_ADMINISTRATOR: "bin",
    Role.APPLICATION_ADMINISTRATOR: "sys",
    Role.APPLICATION_USER: "games",
    Role.SSO_AUDITOR: "mail",
}
PEOPLE = {
    "administrators": ["group:sys", "certificate:sys"],
    "users": ["user:games", "certificate:games"],
    "enabled": True,
    "fields": [{"name": "host"}],
}
MORE_USERS = PEOPLE | {"users": ["user:man"]}
ACCOUNT = {"principal": "user:x", "external_id": "x"}
VALUE = {"application": "app", "context": "c"}

# Act, method, path, body: nothing of it changes what another asks for, and whoever may do it is not answered with "forbidden".
OPERATIONS: list[tuple[str, str, str, Any]] = [
    ("encrypt", "POST", "/v1/encrypt", VALUE | {"plaintext": ""}),
    ("encrypt", "POST", "/v1/encrypt-batch", VALUE | {"plaintexts": [""]}),
    ("decrypt", "POST", "/v1/decrypt", VALUE | {"ciphertext": "hf1."}),
    ("decrypt", "POST", "/v1/decrypt-batch", VALUE | {"ciphertexts": ["hf1."]}),
    ("list configuration", "GET", "/v1/applications/app/config", None),
    ("list configuration", "GET", "/v1/applications/app/unit-credentials", None),
    ("list configuration", "GET", "/v1/applications/app/unit-credentials/u.service/id", None),
    ("list configuration", "GET", "/v1/watch?application=app", None),
    ("read configuration", "GET", "/v1/applications/app/config/in", None),
    ("reveal configuration", "GET", "/v1/applications/app/config/in?reveal=true", None),
    ("change configuration", "PUT", "/v1/applications/app/config/in?dry_run=true", {"properties": {"host": "x"}}),
    ("change configuration", "DELETE", "/v1/applications/app/config/in?dry_run=true", None),
    ("read application", "GET", "/v1/applications/app", None),
    ("change application", "PUT", "/v1/applications/new?dry_run=true", PEOPLE),
    ("change application", "PUT", "/v1/applications/app?dry_run=true", PEOPLE | {"contact": "x"}),
    ("change application", "PUT", "/v1/applications/app?dry_run=true", MORE_USERS | {"enabled": False}),
    ("change application", "PUT", "/v1/applications/app?dry_run=true", MORE_USERS | {"administrators": ["group:sys"]}),
    ("change application", "DELETE", "/v1/applications/app?dry_run=true", None),
    ("change application users", "PUT", "/v1/applications/app?dry_run=true", MORE_USERS),
    ("list mappings", "GET", "/v1/applications/accounts/mappings", None),
    ("read mapping", "GET", "/v1/applications/accounts/mappings/user:x", None),
    ("manage mappings", "POST", "/v1/applications/accounts/mappings/load?dry_run=true", {"mappings": [ACCOUNT]}),
    ("manage mappings", "PUT", "/v1/applications/accounts/mappings/user:x?dry_run=true", {"external_id": "x"}),
    ("manage mappings", "DELETE", "/v1/applications/accounts/mappings/user:x", None),
    ("manage own mapping", "GET", "/v1/applications/accounts/mapping", None),
    ("manage own mapping", "PUT", "/v1/applications/accounts/mapping", {"enabled": True}),
    ("manage own mapping", "DELETE", "/v1/applications/accounts/mapping", None),
    ("look up own credentials", "GET", "/v1/applications/accounts/credentials", None),
    ("issue ticket", "POST", "/v1/applications/accounts/tickets", {}),
    ("redeem ticket", "POST", "/v1/applications/accounts/tickets/redeem", {"ticket": "hft1.AAAA", "sender": None}),
    (
        "manage unit credentials",
        "PUT",
        "/v1/applications/app/unit-credentials/x/id?dry_run=true",
        {"config": "in", "field": "host"},
    ),
    ("manage unit credentials", "DELETE", "/v1/applications/app/unit-credentials/u.service/id?dry_run=true", None),
    ("read roles", "GET", "/v1/roles", None),
    ("manage roles", "PUT", "/v1/roles/sso_auditor?dry_run=true", {"members": []}),
    ("enable SSO", "PUT", "/v1/sso", {"enabled": True}),
    ("read audit", "GET", "/v1/audit/head", None),
    ("export store", "GET", "/v1/export", None),
    ("import store", "POST", "/v1/import?dry_run=true", {"format": "holdfast store 1"}),
    ("manage secret", "GET", "/v1/secret", None),
    ("manage secret", "POST", "/v1/secret/generate", {}),
    ("manage secret", "POST", "/v1/secret/backup", {"recipients": ["nobody"]}),
    ("manage secret", "POST", "/v1/secret/backup/verify", {"backup": "", "place": "p", "identity": "x", "record": False}),
    ("manage secret", "POST", "/v1/secret/backup/compare", {"backup": "", "shares": ["x"]}),
    ("manage secret", "POST", "/v1/secret/restore", {"backup": "", "identity": "x", "dry_run": True}),
    ("manage secret", "POST", "/v1/secret/distribute", {"servers": []}),
    ("manage secret", "GET", "/v1/secret/rotation", None),
    ("manage secret", "POST", "/v1/secret/rotation/prepare", {}),
    ("manage secret", "POST", "/v1/secret/rotation/switch", {"without": ["s"], "timeout": 1, "dry_run": True}),
    ("manage secret", "POST", "/v1/secret/rotation/renew", {"after": None, "limit": 1}),
    ("manage secret", "POST", "/v1/secret/prune", {"days": 400, "count": 2, "dry_run": True}),
    ("manage master", "POST", "/v1/master/activate", {"dry_run": True}),
    ("manage master", "POST", "/v1/master/deactivate", {"dry_run": True}),
    ("manage servers", "GET", "/v1/servers", None),
    ("manage servers", "PUT", "/v1/servers/s9", {"address": "nowhere.example:1"}),
    ("manage servers", "DELETE", "/v1/servers/s9", None),
    ("manage servers", "GET", "/v1/revocations", None),
    (
        "manage servers",
        "PUT",
        f"/v1/revocations/{'a1' * 32}",
        {"name": "job", "serial": "1f", "expires_at": "2100-01-01T00:00:00Z"},
    ),
    ("manage servers", "DELETE", f"/v1/revocations/{'a1' * 32}", None),
    ("manage servers", "POST", "/v1/selftest", {}),
    ("manage servers", "POST", "/v1/refresh", {}),
]
# These ask for no role: everybody who is known may; a list shows what its caller may see; enrolled servers alone.
WITHOUT_A_ROLE = {
    ("GET", "/"),
    ("GET", "/v1/health"),
    ("GET", "/v1/page"),
    ("GET", "/v1/status"),
    ("GET", "/v1/master"),
    ("GET", "/v1/master/fitness"),
    ("GET", "/v1/sso"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/v1/applications"),
    ("GET", "/v1/peer/keyring"),
    ("POST", "/v1/peer/notice"),
}


@pytest.fixture(scope="module")
def m1(tmp_path_factory: pytest.TempPathFactory, authority: Authority, postgres: Postgres) -> Iterator[Server]:
    """With one holder of each role at each face: by the file, by the database, and by the application."""
    url = postgres.url()
    migrate(url)
    fleet = Fleet(tmp_path_factory.mktemp("rights"), authority, url)
    fleet.add("m1", administrators=["user:daemon", "certificate:daemon"])
    try:
        fleet.make_ready()
        m1 = fleet["m1"]
        m1.ok("PUT", "/v1/roles/sso_affiliate_administrator", {"members": ["group:bin", "certificate:bin"]})
        m1.ok("PUT", "/v1/roles/sso_auditor", {"members": ["user:mail", "certificate:mail"]})
        m1.ok("PUT", "/v1/applications/app", PEOPLE)
        m1.ok("PUT", "/v1/applications/app/config/in", {"properties": {"host": "h"}})
        m1.ok("PUT", "/v1/applications/accounts", PEOPLE | {"type": "individual"})
        yield m1
    finally:
        fleet.stop()


@pytest.fixture(scope="module")
def issued(m1: Server) -> dict[str, Files]:
    directory = m1.root / "callers"
    directory.mkdir()
    return {name: m1.authority.issue(directory, name) for name in USERS.values()}


def is_forbidden(server: Server, method: str, path: str, body: Any, user: str, files: Files | None) -> bool:
    """Whether the role is what is missing: every other answer comes after that was settled."""
    connection = server.connection(files)
    if files is None:
        with acting_as(pwd.getpwnam(user).pw_uid):
            connection.connect()
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"} if content else {})
        response = connection.getresponse()
        document = json.loads(response.read())
        assert response.status < 500, document
        assert document.get("type") not in ("urn:holdfast:problem:no-such-path", "urn:holdfast:problem:malformed-request"), document
        return response.status == 403 and document["type"] == "urn:holdfast:problem:forbidden"
    finally:
        connection.close()


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("face", ["unix", "tls"])
@pytest.mark.parametrize(
    ("act", "method", "path", "body"), OPERATIONS, ids=[f"{act}-{method} {path}" for act, method, path, _ in OPERATIONS]
)
def test_an_operation_is_allowed_to_the_roles_of_its_act(
    m1: Server, issued: dict[str, Files], act: str, method: str, path: str, body: Any, face: str, role: Role
) -> None:
    """And refused as forbidden to every other."""
    user = USERS[role]
    forbidden = is_forbidden(m1, method, path, body, user, issued[user] if face == "tls" else None)
    assert forbidden == (role not in RIGHTS[act])


def test_every_act_is_an_operation_here() -> None:
    """One that is added to the table of rights is asked for as every role."""
    assert {act for act, *_ in OPERATIONS} == RIGHTS.keys()


def test_every_path_asks_for_a_role_or_is_known_to_ask_for_none() -> None:
    """One that is added to docs/api.md has its act here."""
    documented = {
        (method, re.sub(r"/[A-Z]+\b", "/*", path))
        for method, path in re.findall(r"`(GET|PUT|POST|DELETE) (/[^`?\[ ]*)", API.read_text())
    }
    names = r"(applications|config|servers|roles|revocations|mappings|unit-credentials/\*|unit-credentials)/(?!\*)[a-z0-9_:.]+"
    asked = set()
    for _, method, path, _ in OPERATIONS:
        asked.add((method, re.sub(names, r"\1/*", re.sub(names, r"\1/*", path.partition("?")[0]))))
    assert {(method, path.replace("mappings/load", "mappings/*")) for method, path in documented} - WITHOUT_A_ROLE == asked
