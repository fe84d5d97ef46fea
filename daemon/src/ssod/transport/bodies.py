"""Reads what a request brings: a body is just what its path takes, or is refused without being quoted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from ssod.errors import UNREADABLE, Malformed

T = TypeVar("T")


def body_as(kind: type[T]) -> Callable[[bytes], T]:
    """A strict decoder of a body; what came in is never quoted."""
    decoder = msgspec.json.Decoder(kind)

    def decode(body: bytes) -> T:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise Malformed(f"the body is not what this path takes: {_unquoted(str(error))}", next_step="see docs/api.md") from None
        except UNREADABLE:
            raise Malformed("the body is not JSON") from None

    return decode


def _unquoted(message: str) -> str:
    """msgspec names the path and the expected type; where it quotes a value (an unknown enum member), the value goes."""
    return message if "Invalid enum value" not in message else "Invalid value" + message[message.rfind(" - ") :]
