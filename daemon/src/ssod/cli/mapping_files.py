"""Reads mappings from a YAML or CSV file, one after the other, each with the line it begins in; nothing that was read is quoted."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from yaml import CSafeLoader, Event

TEXT_TAG = "tag:yaml.org,2002:str"
NUMBER_TAG = "tag:yaml.org,2002:int"
NULL_TAG = "tag:yaml.org,2002:null"
MEMBERS = ("principal", "external_id", "position", "credentials")


class Format(StrEnum):
    YAML = "yaml"
    CSV = "csv"


class Entry(NamedTuple):
    """A mapping as the API takes it."""

    line: int
    mapping: dict[str, Any]


class BadLine(Exception):
    """What is wrong in which line, by names and never by values."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def entries(stream: BinaryIO, form: Format) -> Generator[Entry, None, None]:
    """Raises BadLine where the file ends to make sense; what came before was good. To be closed before the stream is."""
    return (_yaml_entries if form is Format.YAML else _csv_entries)(stream)


def _csv_entries(stream: BinaryIO) -> Generator[Entry, None, None]:
    """The heading names principal, external_id, position (may be missing) and fields; an empty cell is a field that is not set."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    line = 1
    try:
        heading = next(reader, [])
        _check_heading(heading)
        line = reader.line_num + 1
        for row in reader:
            if row:
                yield Entry(line, _of_row(heading, row, line))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadLine(line, f"it is not CSV ({error})") from None
    except UnicodeDecodeError:
        raise BadLine(line, "there is something here, or soon after, that is not UTF-8") from None
    finally:
        text.detach()  # the stream is not ours to close


def _check_heading(heading: list[str]) -> None:
    missing = [name for name in ("principal", "external_id") if name not in heading]
    if missing:
        raise BadLine(1, f"the heading does not name {' and '.join(missing)}")
    if len(set(heading)) != len(heading) or "" in heading:
        raise BadLine(1, "the heading names a column twice, or one not at all")


def _of_row(heading: list[str], row: list[str], line: int) -> dict[str, Any]:
    if len(row) != len(heading):
        raise BadLine(line, f"it has {len(row)} cells, and the heading has {len(heading)}")
    cells = dict(zip(heading, row, strict=True))
    mapping: dict[str, Any] = {"principal": cells.pop("principal"), "external_id": cells.pop("external_id")}
    position = cells.pop("position", "")
    if position:
        mapping["position"] = _number(position, line)
    credentials = {field: value for field, value in cells.items() if value}
    if credentials:
        mapping["credentials"] = credentials
    return mapping


def _number(text: str, line: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise BadLine(line, "position is not a number")
    return int(text)


def _yaml_entries(stream: BinaryIO) -> Generator[Entry, None, None]:
    """A list of mappings with the members of MEMBERS."""
    import yaml

    loader = yaml.CSafeLoader(stream)
    line = 1
    try:
        for entry in _YamlList(loader).entries():
            line = entry.line
            yield entry
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise BadLine(mark.line + 1 if mark else 1, f"it is not YAML ({error.problem})") from None
    except yaml.YAMLError:
        raise BadLine(line, "there is something here, or soon after, that is not text in UTF-8") from None
    finally:
        loader.dispose()


class _YamlList:
    """Works on events and not on a document: that would be in memory as a whole before its first mapping is seen."""

    def __init__(self, loader: CSafeLoader) -> None:
        import yaml

        self._yaml = yaml
        self._next: Callable[[], Event] = loader.get_event
        self._resolve: Callable[[type, str, tuple[bool, bool]], str] = loader.resolve

    def entries(self) -> Iterator[Entry]:
        yaml = self._yaml
        for kind in (yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.SequenceStartEvent):
            event = self._next()
            if not isinstance(event, kind):
                raise BadLine(_line(event), "it does not begin with a list of mappings")
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            yield Entry(_line(event), self._mapping(event))
        self._next()
        if not isinstance(event := self._next(), yaml.StreamEndEvent):
            raise BadLine(_line(event), "there is more than one document")

    def _mapping(self, event: Event) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for name, value in self._members(event, "a mapping"):
            if name == "credentials":
                mapping[name] = self._credentials(value)
            elif name == "position":
                mapping[name] = _number(self._scalar(value, name, NUMBER_TAG), _line(value))
            elif name in MEMBERS:
                mapping[name] = self._scalar(value, name, TEXT_TAG)
            else:
                raise BadLine(_line(value), f"a mapping has {', '.join(MEMBERS)} and nothing else")
        missing = [name for name in ("principal", "external_id") if name not in mapping]
        if missing:
            raise BadLine(_line(event), f"it has no {' and no '.join(missing)}")
        return mapping

    def _credentials(self, event: Event) -> dict[str, str] | None:
        if isinstance(event, self._yaml.ScalarEvent) and self._tag(event) == NULL_TAG:
            return None
        return {name: self._scalar(value, name, TEXT_TAG) for name, value in self._members(event, "credentials")}

    def _members(self, event: Event, what: str) -> Iterator[tuple[str, Event]]:
        if not isinstance(event, self._yaml.MappingStartEvent):
            raise BadLine(_line(event), f"here {what} should be, as NAME: VALUE")
        seen = set()
        while not isinstance(event := self._next(), self._yaml.MappingEndEvent):
            name = self._scalar(event, "a name", TEXT_TAG)
            if name in seen:
                raise BadLine(_line(event), "a name is there twice")
            seen.add(name)
            yield name, self._next()

    def _scalar(self, event: Event, what: str, wanted: str) -> str:
        if not isinstance(event, self._yaml.ScalarEvent):
            raise BadLine(_line(event), f"{what} is no plain value")
        if self._tag(event) != wanted:
            # What looks like a number or a truth would be another text to the next program that reads the file.
            raise BadLine(_line(event), f"{what} is not {'text: put it in quotes' if wanted == TEXT_TAG else 'a number'}")
        return str(event.value)

    def _tag(self, event: Any) -> str:
        if event.tag not in {None, "!"}:
            return str(event.tag)
        if event.implicit[0] and event.value.isdecimal():
            return NUMBER_TAG  # also 0815, which YAML 1.1 takes for text and 1.2 for a number
        return self._resolve(self._yaml.ScalarNode, event.value, event.implicit)


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1
