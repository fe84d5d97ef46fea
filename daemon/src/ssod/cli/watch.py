"""`ssoctl config watch`: says when a configuration has changed, and runs a program then."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

import typer

from ssod.cli.client import Client, path_of
from ssod.cli.documents import Config, Watched
from ssod.cli.errors import ProblemAnswer, Unreachable, UsageRefused
from ssod.cli.execute import PROGRAM
from ssod.cli.output import say, warn
from ssod.cli.session import session_of

# Seconds that one question waits for its answer: less than the client waits for ssod.
WAIT = 10
# Seconds between two questions while ssod cannot answer.
PAUSE = 1.0

T = TypeVar("T")

# When it was written, and how often by then; None when it is not there.
Version = tuple[str | None, int] | None


def watch(context: typer.Context, application: str, name: str) -> None:
    """Say when a configuration changes, until interrupted; with `-- PROGRAM`, run that at each change."""
    program: list[str] = context.meta[PROGRAM]
    client = session_of(context).client
    path = path_of("applications", application, "config", name)
    cursor = _heard(client, application, None).cursor
    # One that is not there is refused, so that a name that is misspelt is not waited for.
    first = client.read(path, Config).document
    known: Version = (first.updated_at, first.version)
    _tell(f"{application}/{name}, version {first.version}: watching")
    while True:
        heard = _patiently(partial(_heard, client, application, cursor))
        cursor = heard.cursor
        if not heard.lost and not any(change.name in ("", name) for change in heard.changes if change.kind == "config"):
            continue
        found = _patiently(partial(_version, client, path))
        if found == known:
            continue
        known = found
        _tell(f"{application}/{name}, version {found[1]}" if found else f"{application}/{name} is deleted")
        _run(program, application, name, found)


def _tell(line: str) -> None:
    say(line)
    sys.stdout.flush()  # into a pipe too: it is of use now


def _heard(client: Client, application: str, cursor: str | None) -> Watched:
    query = {"application": application} | ({"after": cursor, "wait": str(WAIT)} if cursor is not None else {})
    return client.read(f"{path_of('watch')}?{urlencode(query)}", Watched).document


def _version(client: Client, path: str) -> Version:
    try:
        config = client.read(path, Config).document
    except ProblemAnswer as problem:
        if problem.name != "config-not-found":
            raise
        return None
    return config.updated_at, config.version


def _patiently(ask: Callable[[], T]) -> T:
    """Asks until ssod can answer: it may be restarted, and the database lost, while somebody watches."""
    told = False
    while True:
        try:
            return ask()
        except (ProblemAnswer, Unreachable) as error:
            if isinstance(error, ProblemAnswer) and error.status != 503:
                raise
            if not told:
                warn(f"{error}; watching goes on when that is over")
            told = True
        time.sleep(PAUSE)  # nobody tells that ssod is back


def _run(program: Sequence[str], application: str, name: str, found: Version) -> None:
    if not program:
        return
    more = {"SSO_APPLICATION": application, "SSO_CONFIG": name, "SSO_VERSION": str(found[1]) if found else ""}
    try:
        code = subprocess.run(program, env=os.environ | more, check=False).returncode  # noqa: S603  what the caller named
    except OSError as error:
        raise UsageRefused(f"{program[0]} cannot be run: {error.strerror}") from None
    if code:
        warn(f"{program[0]} ended with status {code}; watching goes on")
