"""The OpenAPI 3.1 document of the API, generated from the routes and the structs that they take and answer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec

from ssod.core.access import RIGHTS, Role
from ssod.errors import SsodError
from ssod.transport.app import PROBLEM_PREFIX, Problem, Route
from ssod.transport.description import Html

_REFERENCE = "#/components/schemas/{name}"
_PART = re.compile(r"\{([a-z_]+)\}")
_ETAG = {"ETag": {"description": "Names what was answered; for If-None-Match.", "schema": {"type": "string"}}}


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole document, ready to be encoded as JSON."""
    routes = list(routes)
    kinds = _Kinds(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, kinds)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ssod",
            "version": version,
            "summary": "The API of a Holdfast SSO server",
            "description": "Over the unix socket the caller is the kernel's word; over TCP it is the verified client certificate.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": kinds.components, "securitySchemes": {"certificate": {"type": "mutualTLS"}}},
    }


class _Kinds:
    """The JSON Schema of each type that a route names, and the components that those refer to."""

    def __init__(self, routes: list[Route]) -> None:
        kinds: list[Any] = [Problem]
        for route in routes:
            about = route.description
            kinds += [about.answer, *about.otherwise.values(), *(query.kind for query in about.query)]
            kinds += [about.body] if about.body else []
        schemas, self.components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self._schemas = list(zip(kinds, schemas, strict=True))

    def schema(self, kind: Any) -> dict[str, Any]:
        return next(schema for known, schema in self._schemas if known is kind)

    def content(self, kind: Any) -> dict[str, Any]:
        media = {str: "text/plain", Html: "text/html"}.get(kind, "application/json")
        return {media: {"schema": self.schema(kind)}}


def _operation(route: Route, kinds: _Kinds) -> dict[str, Any]:
    about = route.description
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^\\u0000]+$"}}
        for name in _PART.findall(route.path)
    ]
    parameters += [
        {"name": query.name, "in": "query", "description": query.text, "schema": kinds.schema(query.kind)} for query in about.query
    ]
    if about.conditional:
        parameters.append({"name": "If-None-Match", "in": "header", "schema": {"type": "string"}})
    operation = {
        "operationId": "-".join([route.method.lower(), *re.findall(r"\w+", route.path.removeprefix("/v1"))]),
        "summary": about.summary,
        "description": f"For {_who(about.who)}.",
        "parameters": parameters,
        "responses": _responses(route, kinds),
    }
    if about.body:
        operation["requestBody"] = {"required": True, "content": kinds.content(about.body)}
    return operation


def _who(who: str) -> str:
    """The roles that may do an act, in words; anybody, or an enrolled server, as they are."""
    allowed = RIGHTS.get(who)
    return who if allowed is None else ", ".join(role for role in Role if role in allowed)


def _responses(route: Route, kinds: _Kinds) -> dict[str, Any]:
    about = route.description
    responses: dict[str, Any] = {"200": {"description": "Done.", "content": kinds.content(about.answer)}}
    if about.conditional:
        responses["200"]["headers"] = _ETAG
        responses["304"] = {"description": "As named in If-None-Match.", "headers": _ETAG}
    for status, kind in about.otherwise.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": kinds.content(kind)}
    for status in sorted({error.status for error in about.every_problem}):
        responses[str(status)] = _refusal([error for error in about.every_problem if error.status == status])
    return responses


def _refusal(errors: list[type[SsodError]]) -> dict[str, Any]:
    types = sorted({PROBLEM_PREFIX + error.problem for error in errors})
    schema = {
        "allOf": [{"$ref": _REFERENCE.format(name="Problem")}],
        "properties": {"type": {"enum": types}, "status": {"const": errors[0].status}},
    }
    return {
        "description": "; ".join(dict.fromkeys(error.title for error in errors)),
        "content": {"application/problem+json": {"schema": schema}},
    }
