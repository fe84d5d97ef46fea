"""Reads one JSON object from a file or standard input; a refusal never quotes what was read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ssod.cli.errors import UsageRefused
from ssod.cli.files import read_input


class _Repeated(ValueError):
    pass


def read_object(path: Path, what: str) -> dict[str, object]:
    """Raises UsageRefused for what is not one JSON object, and for a member that is there twice."""
    data = read_input(path, what)
    try:
        document = json.loads(data, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise UsageRefused(
            f"{what} in {path} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}",
            next_step="nothing was changed; mend it and try again",
        ) from None
    except _Repeated as error:
        raise UsageRefused(
            f"{what} in {path} has a member twice: {error}", next_step="nothing was changed; leave one of them"
        ) from None
    except (ValueError, RecursionError):  # not UTF-8, a number of thousands of digits, nested without an end
        raise UsageRefused(f"{what} in {path} is not JSON in UTF-8", next_step="nothing was changed") from None
    if not isinstance(document, dict):
        raise UsageRefused(f"{what} in {path} is not a JSON object", next_step='write {"name": "value", ...}')
    return document


def _without_repeats(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _Repeated(name)
        found[name] = value
    return found
