"""The description of the API is whole, and every path of it is in docs/api.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from servers import Server

from ssod.errors import SsodError
from ssod.transport.description import ANYBODY, Description

API = Path(__file__).parents[3] / "docs" / "api.md"


@pytest.fixture
def description(m1: Server) -> Any:
    return m1.ok("GET", "/v1/openapi.json")


def operations(description: Any) -> dict[tuple[str, str], Any]:
    return {(method.upper(), path): it for path, methods in description["paths"].items() for method, it in methods.items()}


def problems(kind: type[SsodError] = SsodError) -> set[tuple[str, int]]:
    """Name and status of each error that crosses the API."""
    mine = {(kind.problem, kind.status)} if kind.problem != "internal" and kind.status != 500 else set()
    return mine.union(*map(problems, kind.__subclasses__()))


def test_docs_name_every_path_that_is_described_and_no_other(description: Any) -> None:
    """`GET /v1/applications/A` there is `/v1/applications/{application}` here."""
    documented = re.findall(r"`(GET|PUT|POST|DELETE) (/[^`?\[ ]*)", API.read_text())
    assert {(method, re.sub(r"/[A-Z]+\b", "/*", path)) for method, path in documented} == {
        (method, re.sub(r"\{\w+\}", "*", path)) for method, path in operations(description)
    }


def test_docs_name_every_problem() -> None:
    """By status, as the errors have it; a defect is no answer that is promised."""
    table = API.read_text().partition("## Errors")[2].partition("## Any caller")[0]
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", table, re.MULTILINE)
    documented = {(name, int(status)) for status, names in rows for name in re.findall(r"[a-z]+(?:-[a-z]+)+|forbidden", names)}
    assert documented == problems()


def test_every_operation_says_what_it_does_and_for_whom(description: Any) -> None:
    """A summary, who may ask, and an id that no other has."""
    found = operations(description).values()
    assert all(operation["summary"] and operation["description"] for operation in found)
    assert len({operation["operationId"] for operation in found}) == len(found)


def test_a_path_refuses_the_methods_that_are_not_described(m1: Server, description: Any) -> None:
    """405, with those that it takes in `Allow` (RFC 9110)."""
    for path, described in description["paths"].items():
        for method in {"get", "put", "post", "delete", "patch", "options", "head"} - described.keys():
            response, body = m1.exchange(method.upper(), re.sub(r"\{\w+\}", "nothing", path))
            assert (response.status, response.getheader("Allow")) == (405, ", ".join(sorted(map(str.upper, described)))), body


@pytest.mark.parametrize("name", ["%00", "%F0%9F%97%9D", "x" * 3000, "..", "%20", "%2F"])
def test_whatever_is_a_name_in_a_path_the_answer_is_described(m1: Server, description: Any, name: str) -> None:
    """In the place of each name in turn; `call` compares the answer with the description."""
    known = {"application": "app", "config": "in"}
    for path, methods in description["paths"].items():
        for strange in re.findall(r"\{(\w+)\}", path):
            asked = re.sub(
                r"\{(\w+)\}", lambda part, strange=strange: name if part[1] == strange else known.get(part[1], "nobody"), path
            )
            for method in [method.upper() for method, operation in methods.items() if "requestBody" not in operation]:
                assert m1.call(method, asked)[0] in {400, 404, 409, 422}


def test_a_route_is_described_for_an_act_that_exists() -> None:
    """A slip in the name of an act is found when the route is made."""
    with pytest.raises(ValueError, match="no act"):
        Description("Do it", "no such act", dict)
    assert Description("Do it", ANYBODY, dict).every_problem
