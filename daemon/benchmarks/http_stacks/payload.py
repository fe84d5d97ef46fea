"""The two handlers that every candidate serves, as functions of bytes. It knows nothing of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    application: str
    kind: str
    name: str
    user: str
    fields: dict[str, str]


class Answer(msgspec.Struct, frozen=True):
    name: str
    caller: str
    value: str


_QUESTION = msgspec.json.Decoder(Question)
_ANSWER = msgspec.json.Encoder()

BODY = _ANSWER.encode(
    Question(
        application="billing",
        kind="credential_mapping",
        name="erp-production",
        user="CORP\\alice",
        fields={"user": "alice@erp.example", "password": "x" * 50},
    )
)
CONSTANT = _ANSWER.encode(Answer(name="erp-production", caller="uid 1000", value="x" * 64))
assert (len(BODY), len(CONSTANT)) == (200, 120), (len(BODY), len(CONSTANT))


def empty(peer: str, body: bytes) -> bytes:
    """A constant: what the stack alone costs."""
    return CONSTANT


def codec(peer: str, body: bytes) -> bytes:
    """Decode to a struct, encode an answer: what a real call adds at the edge."""
    question = _QUESTION.decode(body)
    return _ANSWER.encode(Answer(name=question.name, caller=peer, value="x" * 64))


def whoami(peer: str, body: bytes) -> bytes:
    """Prove that the caller's identity reaches the handler."""
    return _ANSWER.encode({"peer": peer})


HANDLERS: Mapping[str, Callable[[str, bytes], bytes]] = {"/empty": empty, "/codec": codec, "/whoami": whoami}
