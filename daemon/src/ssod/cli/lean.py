"""The commands of `ssoctl` that the cluster waits for: with as little of Python as does them.

It imports nothing that takes long: neither typer nor rich, nor the client of the other commands. While the master moves, nothing is
encrypted until these have ended.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ssod.cli.exit_codes import ExitCode

DEFAULT_SOCKET = "/run/ssod/ssod.sock"
# ssod answers within a second whatever hangs; one that has not after this is stuck itself.
SECONDS = 3.0
# To become master may mean to wait until the one before has certainly stopped.
SECONDS_TO_ACT = 30.0

NOT_RECORDED = "the SSO database cannot be reached and names this server still; whoever is activated next may have to wait for 6 s"


def taken(*, changed: bool, master: str | None, epoch: int) -> str:
    """What is said of an activation."""
    return f"{master} {'is now' if changed else 'was already'} the master, epoch {epoch}"


def left(*, changed: bool, epoch: int) -> str:
    """What is said of a deactivation."""
    return f"this server {'has left the role of master' if changed else 'was not the master'}, epoch {epoch}"


def _plain(document: dict[str, Any]) -> str:
    reason = "".join(character if character.isprintable() else " " for character in str(document["reason"]))
    return "\n".join(
        [
            f"mastership={document['mastership']}",
            f"mandate={'yes' if document['mandate'] else 'no'}",
            f"score={document['score']}",
            f"reason={reason}",
        ]
    )


def _indented(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2)


def _taken(document: dict[str, Any]) -> str:
    return taken(changed=document["changed"], master=document["master"], epoch=document["epoch"])


def _left(document: dict[str, Any]) -> str:
    said = left(changed=document["changed"], epoch=document["epoch"])
    if not document.get("recorded", True):
        print(f"ssoctl: warning: {NOT_RECORDED}", file=sys.stderr)
    return said


class Command(NamedTuple):
    """`seconds`: how long ssod may take; `next_step`: what to do when it does not answer as it must."""

    request: bytes
    show: Callable[[dict[str, Any]], str]
    seconds: float = SECONDS
    next_step: str = "see `systemctl status ssod`"


_HEAD = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def _get(path: str, show: Callable[[dict[str, Any]], str]) -> Command:
    return Command(f"GET {path} {_HEAD}\r\n".encode(), show)


def _post(path: str, show: Callable[[dict[str, Any]], str]) -> Command:
    head = f"POST {path} {_HEAD}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    next_step = "see `systemctl status ssod`; whether it was done says `ssoctl master status`"
    return Command(f"{head}{{}}".encode(), show, SECONDS_TO_ACT, next_step)


COMMANDS = {
    ("master", "fitness"): _get("/v1/master/fitness", _plain),
    ("master", "fitness", "--json"): _get("/v1/master/fitness", _indented),
    ("master", "activate", "--brief"): _post("/v1/master/activate", _taken),
    ("master", "deactivate", "--yes", "--brief"): _post("/v1/master/deactivate", _left),
}


def asked(arguments: Sequence[str]) -> tuple[str, Command] | None:
    """The socket and the command, when the command line is one of these and nothing unusual."""
    rest = list(arguments)
    path = os.environ.get("SSOD_SOCKET") or DEFAULT_SOCKET
    if rest[:1] == ["--socket"] and len(rest) > 1:
        path, rest = rest[1], rest[2:]
    elif rest and rest[0].startswith("--socket="):
        path, rest = rest[0].removeprefix("--socket="), rest[1:]
    command = COMMANDS.get(tuple(rest))
    return (path, command) if command else None


def run(path: str, command: Command) -> ExitCode:
    """Prints what ssod answers."""
    try:
        status, body = _ask(path, command)
        lines = command.show(json.loads(body)) if status == 200 else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"ssoctl: ssod cannot be asked on {path}: {error or type(error).__name__}", file=sys.stderr)
        print(f"  next: {command.next_step}", file=sys.stderr)
        return ExitCode.UNREACHABLE
    if status != 200:
        return _refused(status, body)
    print(lines)
    return ExitCode.OK


def _refused(status: int, body: bytes) -> ExitCode:
    # Nobody waits for this one: it is explained as by all other commands.
    from ssod.cli.client import problem_in
    from ssod.cli.output import explain

    problem = problem_in(status, body)
    explain(problem)
    return problem.exit_code


def _ask(path: str, command: Command) -> tuple[int, bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(command.seconds)
        connection.connect(path)
        connection.sendall(command.request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body
