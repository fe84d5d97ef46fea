"""Asks the person at the terminal; where there is nobody to ask, refuses and names the option that answers."""

from __future__ import annotations

import sys
from getpass import getpass

from ssod.cli.errors import Refused, UsageRefused


def somebody_is_there() -> bool:
    return sys.stdin.isatty()


def confirm(what: str, *, yes: bool) -> None:
    """Returns when the answer is yes; raises when it is no, or when nobody can be asked."""
    if yes:
        return
    if not somebody_is_there():
        raise UsageRefused(
            f"not done without being sure: {what}",
            next_step="standard input is not a terminal, so nobody can be asked: add --yes",
        )
    print(f"This will {what}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(f"nothing was changed: you did not agree to {what}")


def ask_new_passphrase() -> str:
    """Asked twice: a mistyped one would make a backup that nobody can open."""
    first = _ask("Passphrase for this backup: ")
    if not first:
        raise UsageRefused("an empty passphrase protects nothing; nothing was done", next_step="choose a long one")
    if _ask("The same passphrase again: ") != first:
        raise UsageRefused("the two passphrases differ; nothing was done", next_step="try again")
    return first


def ask_passphrase() -> str:
    passphrase = _ask("Passphrase of this backup: ")
    if not passphrase:
        raise UsageRefused("no passphrase was given; nothing was done", next_step="try again")
    return passphrase


def _ask(prompt: str) -> str:
    try:
        return getpass(prompt)
    except EOFError:
        raise UsageRefused("the terminal was closed before an answer came; nothing was done") from None
