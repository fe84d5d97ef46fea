"""`ssoctl mapping load`: mappings by the hundred thousand, in batches that are loaded as a whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from ssod.cli.client import path_of
from ssod.cli.documents import Loaded
from ssod.cli.errors import CliError, ProblemAnswer, UsageRefused
from ssod.cli.files import STANDARD_INPUT, is_readable_by_others, prepared, publish
from ssod.cli.journal import Act
from ssod.cli.mapping_files import BadLine, Entry, Format, entries
from ssod.cli.output import say, show_document, warn
from ssod.cli.progress import Advance, progress
from ssod.cli.session import AsJson, DryRun, Session, session_of
from ssod.errors import UNREADABLE

# What the API takes at once: so many mappings, and so many characters (its limit is in bytes, and twice as high and more).
BATCH = 1000
BATCH_CHARACTERS = 2 << 20
PROGRESS_FORMAT = "holdfast progress 1"
# Where in a body ssod did not understand something.
_AT = re.compile(r"\$\.mappings\[(\d+)\]")


class Progress(msgspec.Struct):
    """FILE.progress: how many mappings are loaded, and the hash of them, by which a changed file is known."""

    format: str
    application: str
    loaded: int
    sha256: str


def load(
    context: typer.Context,
    *,
    application: Annotated[str, typer.Argument(metavar="APP")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", readable=False, help="A list of mappings in YAML or CSV; `-`: standard input.")
    ],
    form: Annotated[
        Format | None, typer.Option("--format", help="Default: by the file's name, .yml, .yaml, .json or .csv.")
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create and replace mappings from FILE, 1,000 at a time. Run again after an interruption, it goes on where it was."""
    form = form or _format_of(file)
    with _opened(file) as stream:
        run = _Run(session_of(context), application, file, dry_run=dry_run)
        quiet = as_json or not sys.stderr.isatty()  # for a terminal, and nobody else
        size = None if quiet else os.fstat(stream.fileno()).st_size or None
        with progress(size, "mappings", quiet=quiet) as advance, closing(entries(stream, form)) as source:
            run.load(source, stream, advance)
    document = run.total
    if as_json:
        show_document(msgspec.json.encode(document))
        return
    again = f", {run.skipped} were loaded before" if run.skipped else ""
    say(
        f"{application}: {document.created} {'would be ' if dry_run else ''}created, {document.changed} changed, "
        f"{document.unchanged} unchanged{again}; {run.seconds:.1f} s"
    )


def _format_of(file: Path) -> Format:
    known = {".csv": Format.CSV, ".yml": Format.YAML, ".yaml": Format.YAML, ".json": Format.YAML}
    if file.suffix.lower() not in known:
        raise UsageRefused(f"the name of {file} does not say what is in it", next_step="add --format yaml or --format csv")
    return known[file.suffix.lower()]


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    if file == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    try:
        stream = file.open("rb")
    except OSError as error:
        raise UsageRefused(f"cannot read {file}: {error.strerror}", next_step="name a file that you may read") from None
    with stream:
        if is_readable_by_others(file):
            warn(f"{file} can be read by others on this host, and holds credentials: chmod 600 {file}")
        yield stream


class _Run:
    def __init__(self, session: Session, application: str, file: Path, *, dry_run: bool) -> None:
        self._journal = session.journal
        self._client = session.client
        self._application = application
        self._file = file
        self._dry_run = dry_run
        self._digest = hashlib.sha256()
        self._progress = None if dry_run or file == STANDARD_INPUT else file.with_name(f"{file.name}.progress")
        self._began = time.monotonic()
        self.skipped = self._skip()
        self._loaded = 0
        self.total = Loaded(created=0, changed=0, unchanged=0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def _skip(self) -> int:
        """How many mappings at the beginning of the file are loaded already."""
        if self._progress is None:
            return 0
        try:
            self._before = msgspec.json.decode(self._progress.read_bytes(), type=Progress)
        except FileNotFoundError:
            if not os.access(self._progress.parent, os.W_OK | os.X_OK):
                warn(f"{self._progress} cannot be written: after an interruption the load begins anew")
                self._progress = None
            return 0
        except (OSError, *UNREADABLE):
            raise self._other_progress("is not readable as what this command writes") from None
        if (self._before.format, self._before.application) != (PROGRESS_FORMAT, self._application):
            raise self._other_progress("is of another application")
        return self._before.loaded

    def _other_progress(self, what: str) -> UsageRefused:
        return UsageRefused(
            f"{self._progress} {what}; nothing was changed",
            next_step="remove it to load the whole file: mappings that are equal are left as they are",
        )

    def load(self, source: Iterable[Entry], stream: BinaryIO, advance: Advance) -> None:
        place = stream.tell if self._file != STANDARD_INPUT else lambda: 0
        try:
            batches = _batches(self._after_skipped(source))
            # Of a pipe nothing is read ahead: whoever writes into it may keep a refusal waiting.
            for batch in batches if self._file == STANDARD_INPUT else _one_ahead(batches):
                self._load(batch)
                advance(place(), self._loaded)
        except BadLine as bad:
            raise UsageRefused(
                f"{self._file}:{bad.line}: {bad.what}", conditions=self._so_far(), next_step="mend that line and run it again"
            ) from None
        if self._progress is not None:
            self._progress.unlink(missing_ok=True)

    def _after_skipped(self, source: Iterable[Entry]) -> Iterator[Entry]:
        number = 0
        for number, entry in enumerate(source, 1):
            if number <= self.skipped:
                self._note(entry)
                if number == self.skipped and self._digest.hexdigest() != self._before.sha256:
                    raise self._other_progress(f"is of other mappings than the first {self.skipped} of this file")
                continue
            yield entry
        if number < self.skipped:
            raise self._other_progress(f"is of {self.skipped} mappings, and this file has {number}")

    def _note(self, entry: Entry) -> None:
        self._digest.update(msgspec.json.encode(entry.mapping))

    def _load(self, batch: list[Entry]) -> None:
        path = path_of("applications", self._application, "mappings", "load") + ("?dry_run=true" if self._dry_run else "")
        body = {"mappings": [entry.mapping for entry in batch]}
        look = f"ssoctl mapping list {self._application}"
        try:
            if self._dry_run:
                loaded = self._client.compute(path, body, Loaded).document
            else:
                act = Act(f"lines {batch[0].line} and following of {self._file}, {len(batch)} mappings, were loaded", look)
                loaded = self._client.act("POST", path, body, Loaded, act).document
        except ProblemAnswer as problem:
            raise self._located(problem, batch) from None
        except CliError as error:
            error.conditions = (*error.conditions, *self._so_far())
            raise
        self.total = Loaded(
            created=self.total.created + loaded.created,
            changed=self.total.changed + loaded.changed,
            unchanged=self.total.unchanged + loaded.unchanged,
        )
        self._loaded += len(batch)
        for entry in batch:
            self._note(entry)
        if not self._dry_run:
            # One line in the story of an interruption, and not one a batch.
            self._journal.done[:] = [Act(f"{self._loaded + self.skipped} mappings of {self._file} are loaded", look)]
        if self._progress is not None:
            done = Progress(PROGRESS_FORMAT, self._application, self._loaded + self.skipped, self._digest.hexdigest())
            with prepared(self._progress, msgspec.json.encode(done)) as path_of_progress:
                publish(path_of_progress, self._progress)

    def _so_far(self) -> list[str]:
        loaded = self._loaded + self.skipped
        if self._dry_run or not loaded:
            return ["nothing was changed"]
        goes_on = "" if self._progress is None else "; run again, it goes on after them"
        return [f"the {loaded} mappings before it are loaded{goes_on}"]

    def _located(self, problem: ProblemAnswer, batch: list[Entry]) -> ProblemAnswer:
        """The refusal, with the line of each mapping that it names."""
        lines = {entry.mapping["principal"]: entry.line for entry in batch}
        located = []
        for condition in problem.conditions:
            principal = next((each for each in lines if condition.startswith(f"{each}: ")), None)
            located.append(f"{self._file}:{lines[principal]}: {condition}" if principal else condition)
        at = _AT.search(problem.what)
        if at and int(at[1]) < len(batch):
            located.append(f"{self._file}:{batch[int(at[1])].line}: this mapping")
        first, last = batch[0].line, batch[-1].line
        return ProblemAnswer(
            f"of the mappings in lines {first} to {last} none was loaded: {problem.what}",
            name=problem.name,
            status=problem.status,
            next_step=problem.next_step,
            conditions=[*located, *self._so_far()],
            tracking_id=problem.tracking_id,
        )


def _batches(source: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    characters = 0
    for entry in source:
        batch.append(entry)
        characters += sum(map(len, (entry.mapping.get("credentials") or {}).values()))
        if len(batch) == BATCH or characters > BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _one_ahead(batches: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
    """The same; while one is being loaded, the next is read."""
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(next, batches, None)
        while (batch := ahead.result()) is not None:
            ahead = reader.submit(next, batches, None)
            yield batch
