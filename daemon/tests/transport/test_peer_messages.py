"""Servers of two versions understand each other, because what they say to each other stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from described import description

from ssod.core.keyring import DOCUMENT_FORMAT, _KeyringDocument
from ssod.transport.peers import NoticeAnswer

# As every release so far says it. An older server refuses a keyring and a notice that have a field more, and gives none that a
# newer one may count on: another message needs a path of its own, and what asks for it goes on without (CONTRIBUTING.md).
KEPT = Path(__file__).parents[1] / "vectors" / "peer-messages.json"


def resolved(schema: Any) -> Any:
    """A schema with what it refers to in its place, and without what is only said to people."""
    if isinstance(schema, list):
        return [resolved(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return resolved(description()["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return {name: resolved(each) for name, each in schema.items() if name not in ("summary", "description", "title")}


def messages() -> dict[str, Any]:
    """Everything that one server says to another: by path, the question and its answer; and the keyring's document."""
    said: dict[str, Any] = {}
    for path, methods in description()["paths"].items():
        if path.startswith("/v1/peer/"):
            for method, operation in methods.items():
                body = operation.get("requestBody", {}).get("content", {})
                said[f"{method.upper()} {path}"] = {
                    "query": resolved(operation.get("parameters", [])),
                    "body": resolved(body),
                    "answer": resolved(operation["responses"]["200"].get("content", {})),
                }
    _, parts = msgspec.json.schema_components([_KeyringDocument, NoticeAnswer], ref_template="{name}")
    said["format of the keyring"] = DOCUMENT_FORMAT
    said["as it is read"] = {name: {key: each for key, each in part.items() if key != "title"} for name, part in parts.items()}
    return said


def test_what_servers_say_to_each_other_is_what_it_was() -> None:
    """No message gains a field, loses one, or gives one another type; no path is added that an older server does not know."""
    assert messages() == json.loads(KEPT.read_text(encoding="utf-8"))
