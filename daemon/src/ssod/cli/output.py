"""Prints: documents and tables on standard output, errors and warnings on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from ssod.cli.errors import CliError

if TYPE_CHECKING:
    from rich.console import RenderableType

# Wider than any table of ours: what goes into a file or a pipe is for grep, and must not be folded.
UNFOLDED_COLUMNS = 4096


def printable(text: str) -> str:
    """Names and values are other people's words: they must not steer the terminal they are shown on."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\n" else f"\\x{ord(character):02x}" for character in text)


def say(line: str) -> None:
    print(printable(line))


def show_document(raw: bytes) -> None:
    """ssod's document, every member in ssod's order, indented for people."""
    print(msgspec.json.format(raw, indent=2).decode())


def show(*parts: RenderableType) -> None:
    """Rich's renderables: folded to the width of a terminal, else one line a row and no blanks at its end."""
    from rich.console import Console

    if sys.stdout.isatty():
        Console(highlight=False, markup=False, emoji=False).print(*parts)
        return
    console = Console(highlight=False, markup=False, emoji=False, width=UNFOLDED_COLUMNS)
    with console.capture() as capture:
        console.print(*parts)
    for line in capture.get().splitlines():
        print(line.rstrip())


def warn(line: str) -> None:
    print(f"ssoctl: warning: {printable(line)}", file=sys.stderr)


def explain(error: CliError) -> None:
    """What and which; every failed condition; what to do next."""
    lines = [f"ssoctl: {error.what}"]
    lines += [f"  - {condition}" for condition in error.conditions]
    if error.next_step:
        lines.append(f"  next: {error.next_step}")
    if error.tracking_id:
        lines.append(f"  tracking id: {error.tracking_id}")
    for line in lines:
        print(printable(line), file=sys.stderr)
