"""Whatever the description allows or forbids, each answer at either face is one that the description names, in its shape.

HOLDFAST_SCHEMATHESIS_REQUESTS says about how many requests are sent; the default keeps this to about a minute.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from io import BytesIO
from typing import Any

import pytest
import requests
import schemathesis
from edge import Files
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.config import SchemathesisConfig
from servers import Fleet, Server
from urllib3 import HTTPResponse

REQUESTS = int(os.environ.get("HOLDFAST_SCHEMATHESIS_REQUESTS", "2000"))
EXAMPLES = 20  # of one operation, before the next has its turn

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    positive_data_acceptance,
    negative_data_rejection,
]
# Who may do it, and whether it can be done now, is not in a schema. That the body can be read, is.
CONFIGURATION = {"checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "304", "403", "404", "409", "422", "503"]}}}

# What is there, so that not every request ends at a name that nobody knows.
ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
USERS = [ME, "certificate:admin", "certificate:job"]
KNOWN = {
    "application": ["app", "login"],
    "config": ["in"],
    "server": ["m1"],
    "principal": USERS,
    "role": ["sso_auditor", "sso_administrator"],
    "unit": ["job.service"],
    "credential": ["password"],
    "sender": USERS,
    "field": ["host"],
}
CALLERS = ["unix", "admin", "job", "m1"]

# Longer would be no other answer, only a later one.
LONGEST_WAIT = 0.05
PASSPHRASE = 12


class Face(HTTPAdapter):
    """Sends through one kept connection to a face of ssod."""

    def __init__(self, server: Server, files: Files | None) -> None:
        super().__init__()
        self._connection: HTTPConnection = server.connection(files)
        self.sent = 0

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.sent += 1
        try:
            return self._exchange(request)
        except (HTTPException, ConnectionError):
            self._connection.close()
            return self._exchange(request)

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        assert request.method is not None
        headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
        self._connection.request(request.method, request.path_url, request.body, headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.will_close:
            self._connection.close()
        raw = HTTPResponse(
            BytesIO(body), dict(answer.getheaders()), answer.status, answer.version, reason=answer.reason, preload_content=False
        )
        return self.build_response(request, raw)

    def close(self) -> None:
        self._connection.close()


def restore(m1: Server) -> None:
    """As the other operations need it: a master that acts, SSO enabled, and applications with what they keep."""
    m1.enrol()
    m1.ok("POST", "/v1/master/activate", {})
    m1.ok("PUT", "/v1/sso", {"enabled": True})
    common = {"users": USERS, "enabled": True, "data_loss": "accept", "fields": [{"name": "host"}]}
    m1.ok("PUT", "/v1/applications/app", common | {"type": "config_store"})
    m1.ok("PUT", "/v1/applications/app/config/in", {"properties": {"host": "h"}})
    flags = {"tickets_allowed": True, "tickets_validated": False}
    m1.ok("PUT", "/v1/applications/login", common | {"type": "individual", "flags": flags})
    for user in USERS:
        mapping = {"external_id": f"outside {user}", "credentials": {"host": "h"}, "disabled_by_administrator": False}
        m1.ok("PUT", f"/v1/applications/login/mappings/{user}", mapping)


def made_quick(case: Case) -> Case:
    """A wait that is short, and no passphrase that takes a second by design."""
    wait = case.query.get("wait")
    if isinstance(wait, float | int):
        case.query["wait"] = min(wait, LONGEST_WAIT)
    if isinstance(case.body, dict) and isinstance(case.body.get("passphrase"), str):
        case.body["passphrase"] = case.body["passphrase"][: PASSPHRASE - 1]
    return case


def written_as_integers(value: Any) -> Any:
    """To a schema 1.0 is an integer; to ssod it is a mistake, which no schema can say."""
    if isinstance(value, dict):
        return {name: written_as_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(written_as_integers, value))
    return int(value) if isinstance(value, float) and value.is_integer() else value


def made_right(case: Case) -> Case:
    case.body = written_as_integers(case.body)
    return made_quick(case)


@st.composite
def known(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    """In place of names that nobody knows, those that are there."""
    case = draw(cases)
    for name in case.path_parameters.keys() & KNOWN.keys():
        case.path_parameters[name] = draw(st.sampled_from(KNOWN[name]))
    if isinstance(case.body, dict):
        for name in case.body.keys() & KNOWN.keys():
            case.body[name] = draw(st.sampled_from(KNOWN[name]))
        for name in ("properties", "credentials"):
            if case.body.get(name):
                case.body[name] = {"host": "h"}
    return case


def cases_of(operation: Any) -> st.SearchStrategy[Case]:
    right = operation.as_strategy(GenerationMode.POSITIVE).map(made_right)
    return right | known(right) | operation.as_strategy(GenerationMode.NEGATIVE).map(made_quick)


@pytest.fixture(params=CALLERS)
def face(request: pytest.FixtureRequest, m1: Server, issued: Callable[..., Files]) -> Iterator[Face]:
    """An SSO administrator at either face; over TLS an application user, and an enrolled server."""
    caller = request.param
    made = Face(m1, None if caller == "unix" else m1.files if caller == "m1" else issued(caller))
    yield made
    made.close()


def test_each_answer_is_one_that_is_described(edge_fleet: Fleet, m1: Server, face: Face, subtests: pytest.Subtests) -> None:
    """By status, content type, headers and schema; what the schema allows is read, and what it forbids is refused."""
    schema = schemathesis.openapi.from_dict(m1.ok("GET", "/v1/openapi.json"), config=SchemathesisConfig.from_dict(CONFIGURATION))
    session = requests.Session()
    session.mount("http://", face)
    operations = [found.ok() for found in schema.get_all_operations()]
    while face.sent < REQUESTS // len(CALLERS):
        for operation in operations:
            restore(m1)

            @settings(max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
            @given(cases_of(operation))
            def ask(case: Case) -> None:
                case.call_and_validate(base_url="http://ssod", session=session, checks=CHECKS)

            with subtests.test(operation.label):
                ask()
    restore(m1)
    assert m1.decrypt(m1.encrypt(b"value")) == b"value"
    assert "a request ended in a defect" not in m1.log.read_text()
