"""A store as a YAML file of one line an entry, so that two exports can be compared; and such a file in parts for an import."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

from ssod.cli.errors import UsageRefused
from ssod.cli.files import read_input

FORMAT = "holdfast store 1"
# In the order in which an import needs them: what an entry refers to is in an earlier section.
SECTIONS = ("applications", "roles", "configs", "mappings", "unit_credentials", "disabled_by_user")
# As many entries, and as many characters of them, as go into one request.
MOST, MOST_LONG = 500, 4 << 20

_HEAD = """\
# A store of Holdfast. Values are ciphertexts: they open under the master secret of their environment, in their places alone.
# `ssoctl import` takes it. So do, entry by entry, the modules application, sso_role, application_config and credential_mapping.
"""
# Characters that JSON leaves as they are, and YAML does not take.
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")

Page = dict[str, Any]


class Part(NamedTuple):
    """A body for an import, and the sections of it that are taken with it; the others are there to be referred to."""

    body: Page
    sections: tuple[str, ...]


def lines(pages: Iterator[Page]) -> Iterator[str]:
    """The lines of the file, as the pages of an export come."""
    first = next(pages)
    yield _HEAD
    yield f"format: {_yaml(first['format'])}\n"
    yield f"environment_id: {_yaml(first['environment_id'])}\n"
    left = list(SECTIONS)
    for name, entries in groupby(_entries(chain([first], pages)), key=lambda named: named[0]):
        while left[0] != name:
            yield f"{left.pop(0)}: []\n"
        yield f"{left.pop(0)}:\n"
        yield from (f"  - {_yaml(entry)}\n" for _, entry in entries)
    yield from (f"{name}: []\n" for name in left)


def _entries(pages: Iterable[Page]) -> Iterator[tuple[str, Any]]:
    """Each entry with its section, section by section: what users have disabled comes with the mappings, and is kept back."""
    disabled: list[Any] = []
    for page in pages:
        yield from ((name, entry) for name in SECTIONS[:-1] for entry in page[name])
        disabled += page[SECTIONS[-1]]
    yield from ((SECTIONS[-1], entry) for entry in disabled)


def _yaml(value: Any) -> str:
    """JSON that is YAML too."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def read(path: Path) -> Page:
    """The document of a file or of standard input. Raises UsageRefused for what is no store; nothing of it is quoted."""
    import yaml

    data = read_input(path, "the store")
    try:
        document = yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  both are safe
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}" if mark else ""
        raise _no_store(path, f"it is not YAML: {error.problem}{where}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        # PyYAML trips in all these ways over a number, a date or a tag that is none.
        raise _no_store(path, "it is not YAML in UTF-8") from None
    document = _as_json(path, document)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise _no_store(path, f"it does not say `format: {FORMAT}`")
    unknown = sorted(str(name) for name in document.keys() - {*SECTIONS, "format", "environment_id"})
    if unknown:
        raise _no_store(path, f"it has sections that are not known: {', '.join(unknown)}")
    for name in SECTIONS:
        entries = document.setdefault(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise _no_store(path, f"{name} is not a list of entries")
        if not all(isinstance(entry.get(part, ""), str) for entry in entries for part in ("application", "name", "principal")):
            raise _no_store(path, f"{name} has an entry whose name is no text")
    return document


def _as_json(path: Path, document: Any) -> Any:
    """YAML says more than a request can: a date, a member without a name, what holds itself. No export has any of it."""
    try:
        return json.loads(json.dumps(document, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError, RecursionError):
        raise _no_store(path, "it holds what is no JSON, such as a date without quotes") from None


def _no_store(path: Path, why: str) -> UsageRefused:
    return UsageRefused(f"{path} is no store: {why}; nothing was imported", next_step="take one that `ssoctl export` wrote")


def parts(document: Page, *, alone: bool) -> Iterator[Part]:
    """The whole document, a request at a time. `alone`: each has the applications that it refers to, as if none was done before."""
    applications = {entry.get("name"): entry for entry in document["applications"]}
    disabled = {(entry.get("application"), entry.get("principal")): entry for entry in document["disabled_by_user"]}
    unmapped = dict(disabled)
    for name in SECTIONS[:-1]:
        for chunk in _chunks(document[name]):
            body: Page = {"format": FORMAT, name: chunk}
            if name == "mappings":
                keys = [(entry.get("application"), entry.get("principal")) for entry in chunk]
                body["disabled_by_user"] = [unmapped.pop(key) for key in keys if key in unmapped]
            if alone and name not in {"applications", "roles"}:
                needed = {entry.get("application") for entry in chunk}
                body["applications"] = [applications[each] for each in sorted(needed & applications.keys(), key=str)]
            yield Part(body, (name,))
    if unmapped:
        # For ssod to refuse, in its own words.
        yield Part({"format": FORMAT, "disabled_by_user": list(unmapped.values())[:MOST]}, ())


def _chunks(entries: list[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    long = 0
    for entry in entries:
        size = len(json.dumps(entry))
        if chunk and (len(chunk) == MOST or long + size > MOST_LONG):
            yield chunk
            chunk, long = [], 0
        chunk.append(entry)
        long += size
    if chunk:
        yield chunk
