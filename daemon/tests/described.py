"""The description of the API without a server, and whether an answer is one that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from inspect import signature
from typing import Any
from unittest.mock import MagicMock

from jsonschema import Draft202012Validator

from ssod.transport import routes
from ssod.transport.app import Route
from ssod.transport.openapi import document


def _described() -> Iterator[Route]:
    """Every route, of handlers that nobody will call."""
    for name in routes.__all__:
        kind = getattr(routes, name)
        yield from kind(*(MagicMock() for _ in signature(kind).parameters)).routes()


@cache
def description() -> dict[str, Any]:
    return document(_described(), "test")


@cache
def _operation(method: str, path: str) -> str | None:
    """The path of the description that a path of a request belongs to; None for one that is not described for this method."""
    paths = description()["paths"]
    for described in sorted(paths, key=lambda described: [part.startswith("{") for part in described.split("/")]):
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]*", described), path):
            return described if method.lower() in paths[described] else None
    return None


@cache
def _validator(method: str, described: str, status: int) -> Draft202012Validator | None:
    """None where a text is answered, or nothing."""
    responses = description()["paths"][described][method.lower()]["responses"]
    assert str(status) in responses, f"{method} {described} is not described to answer {status}"
    for kind, content in responses[str(status)].get("content", {}).items():
        if kind.endswith("json"):
            return Draft202012Validator({**content["schema"], "components": description()["components"]})
    return None


def check_answer(method: str, target: str, status: int, answer: Any) -> None:
    """Fails for an answer that is not as described. What ends before it comes to a route is none of a route's."""
    described = _operation(method, target.partition("?")[0])
    if described is None:
        return
    validator = _validator(method, described, status)
    if validator is not None:
        faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(answer)]
        assert not faults, (method, described, status, faults)
