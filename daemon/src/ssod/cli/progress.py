"""How far a long command is, how fast it goes, and how long it will take yet: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# How often somebody who reads a file is told (seconds).
TELL = 10.0

# How much of the whole is done, and how many of what is counted.
Advance = Callable[[int, int], None]


@contextmanager
def progress(total: int | None, what: str, *, quiet: bool = False) -> Iterator[Advance]:
    """`total` is of what the bar shows, None where it is not known; `what` names what is counted."""
    began = time.monotonic()

    def told(counted: int) -> str:
        return f"{counted:,} {what}, {counted / max(time.monotonic() - began, 0.001):,.0f}/s"

    if quiet:
        yield lambda _done, _counted: None
        return
    if not sys.stderr.isatty():
        said = began

        def say(done: int, counted: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said >= TELL:
                said = now
                remaining = f", {(total - done) * (now - began) / max(done, 1):.0f} s remaining" if total else ""
                print(told(counted) + remaining, file=sys.stderr, flush=True)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = [BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}, remaining"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=total, told="")
        yield lambda done, counted: shown.update(task, completed=done, told=told(counted))
