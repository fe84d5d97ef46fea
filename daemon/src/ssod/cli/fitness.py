"""`ssoctl master fitness`, which the cluster asks every few seconds: with as little of Python as does it.

It imports nothing that takes long: neither typer nor rich, nor the client of the other commands.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence

from ssod.cli.exit_codes import ExitCode

DEFAULT_SOCKET = "/run/ssod/ssod.sock"
# ssod answers within a second whatever hangs; one that has not after this is stuck itself.
SECONDS = 3.0

_REQUEST = b"GET /v1/master/fitness HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def is_asked(arguments: Sequence[str]) -> tuple[str, bool] | None:
    """The socket and whether JSON is wanted, when the command line is this command and nothing unusual."""
    rest = list(arguments)
    path = os.environ.get("SSOD_SOCKET") or DEFAULT_SOCKET
    if rest[:1] == ["--socket"] and len(rest) > 1:
        path, rest = rest[1], rest[2:]
    elif rest and rest[0].startswith("--socket="):
        path, rest = rest[0].removeprefix("--socket="), rest[1:]
    if rest == ["master", "fitness"]:
        return path, False
    return (path, True) if rest == ["master", "fitness", "--json"] else None


def run(path: str, *, as_json: bool) -> ExitCode:
    """Prints what ssod answers: one `name=value` a line, or its document."""
    try:
        status, body = _ask(path)
        document = json.loads(body)
        if status == 200:
            lines = json.dumps(document, indent=2) if as_json else _plain(document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"ssoctl: ssod cannot be asked on {path}: {error or type(error).__name__}", file=sys.stderr)
        print("  next: see `systemctl status ssod`", file=sys.stderr)
        return ExitCode.UNREACHABLE
    if status != 200:
        print(f"ssoctl: ssod answered {status}: {body.decode(errors='replace')!r}", file=sys.stderr)
        return ExitCode.REFUSED
    print(lines)
    return ExitCode.OK


def _plain(document: dict[str, object]) -> str:
    reason = "".join(character if character.isprintable() else " " for character in str(document["reason"]))
    return "\n".join(
        [
            f"mastership={document['mastership']}",
            f"mandate={'yes' if document['mandate'] else 'no'}",
            f"score={document['score']}",
            f"reason={reason}",
        ]
    )


def _ask(path: str) -> tuple[int, bytes]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        connection.connect(path)
        connection.sendall(_REQUEST)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body
