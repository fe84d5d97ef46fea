# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""Speaks the HTTP API of ssod over its unix socket: a call in, an answer or one readable error out.

It decides nothing about secrets, applications or servers, and it never puts a body into an error.
"""

from __future__ import annotations

import errno
import http.client
import json
import socket
import typing as t
from urllib.parse import quote, urlencode

DEFAULT_SOCKET = "/run/ssod/ssod.sock"

# Long enough for a passphrase to be stretched on a slow host, short enough for an operator who waits.
DEFAULT_TIMEOUT = 60.0

# A 404 for an address that the daemon does not serve is a version mismatch; it must not be read as "absent".
ABSENT = frozenset(
    {
        "application-not-found",
        "config-not-found",
        "mapping-not-found",
        "server-not-found",
        "unit-credential-not-found",
    }
)


# SsodError
#  +-- SsodUnreachable     no answer: nobody listens, or we may not speak
#  +-- SsodAnswerLost      the request was sent, the answer did not arrive
#  +-- SsodAnswerUnknown   an answer that docs/api.md does not know
#  +-- SsodRefusal         a problem document: the daemon says no, and why
class SsodError(Exception):
    """Something that a person has to read: what and which (detail), what next, and every failed condition."""

    def __init__(
        self,
        problem: str,
        detail: str,
        next_step: str = "",
        conditions: t.Sequence[str] = (),
        tracking_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.next_step = next_step
        self.conditions = list(conditions)
        self.tracking_id = tracking_id

    def sentence(self) -> str:
        """The whole error on one line, for msg."""
        parts = [_ended(self.detail)]
        # Some details name their conditions already.
        untold = [condition for condition in self.conditions if condition not in self.detail]
        parts.extend(_ended(f"({number}) {text}") for number, text in enumerate(untold, start=1))
        if self.next_step:
            parts.append(_ended(f"Next: {self.next_step}"))
        return " ".join(parts)


class SsodUnreachable(SsodError):
    """No answer: nobody listens on the socket, or this user may not open it."""


class SsodAnswerLost(SsodError):
    """The request was sent and the connection broke: the act may have been done."""


class SsodAnswerUnknown(SsodError):
    """An answer outside the contract, for instance from another program or another version."""


class SsodRefusal(SsodError):
    """The daemon refused, with an RFC 9457 problem document."""

    def __init__(self, status: int, document: t.Mapping[str, t.Any]) -> None:
        name = str(document.get("type", ""))  # urn:holdfast:problem:NAME
        super().__init__(
            problem=name.rpartition(":")[2],
            detail=str(document.get("detail") or document.get("title") or f"ssod answered {status}"),
            next_step=str(document.get("next") or ""),
            conditions=[str(condition) for condition in document.get("conditions") or ()],
            tracking_id=document.get("tracking_id"),
        )
        self.status = status


class Ssod:
    """The API of the ssod on this host. Addresses are given in segments below /v1; each is quoted here."""

    def __init__(self, socket_path: str = DEFAULT_SOCKET) -> None:
        self._socket_path = socket_path

    def get(self, *segments: str, **query: str) -> dict[str, t.Any]:
        return self._call("GET", segments, query=query)

    def find(self, *segments: str, **query: str) -> dict[str, t.Any] | None:
        """What is at this address, or None when the daemon says that it is absent: on 404 only."""
        try:
            return self.get(*segments, **query)
        except SsodRefusal as refusal:
            if refusal.status == 404 and refusal.problem in ABSENT:
                return None
            raise

    def post(self, *segments: str, body: t.Mapping[str, t.Any], timeout: float = DEFAULT_TIMEOUT) -> dict[str, t.Any]:
        return self._call("POST", segments, body=body, timeout=timeout)

    def put(self, *segments: str, body: t.Mapping[str, t.Any], **flags: bool) -> dict[str, t.Any]:
        return self._call("PUT", segments, body=body, query=_raised(flags))

    def delete(self, *segments: str, **flags: bool) -> dict[str, t.Any]:
        return self._call("DELETE", segments, query=_raised(flags))

    def _call(
        self,
        method: str,
        segments: t.Sequence[str],
        body: t.Mapping[str, t.Any] | None = None,
        query: t.Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> dict[str, t.Any]:
        path = "/v1/" + "/".join(quote(segment, safe="") for segment in segments)
        target = f"{path}?{urlencode(sorted(query.items()))}" if query else path
        status, content = self._exchange(method, target, body, timeout)
        return _understood(status, content, f"{method} {target}")

    def _exchange(self, method: str, target: str, body: t.Mapping[str, t.Any] | None, timeout: float) -> tuple[int, bytes]:
        headers = {"Accept": "application/json, application/problem+json"}
        payload = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            payload = json.dumps(body).encode("utf-8")
        connection = _UnixConnection(self._socket_path, timeout)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise _unreachable(self._socket_path, error) from error
            try:
                connection.request(method, target, body=payload, headers=headers)
                response = connection.getresponse()
                return response.status, response.read()
            except socket.timeout as error:
                raise SsodAnswerLost(
                    "no-answer",
                    f"ssod did not answer {method} {target} within {timeout:g} s",
                    "see `journalctl -u ssod`, then run the task again: it reads the present state first",
                ) from error
            except (OSError, http.client.HTTPException) as error:
                raise SsodAnswerLost(
                    "answer-lost",
                    f"the connection to ssod broke during {method} {target} ({type(error).__name__}): "
                    "it may have been carried out",
                    "see `systemctl status ssod`, then run the task again: it reads the present state first",
                ) from error
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over AF_UNIX. The Host header is of no use there, but HTTP/1.1 wants one."""

    def __init__(self, socket_path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = socket_path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def _raised(flags: t.Mapping[str, bool]) -> dict[str, str]:
    return {name: "true" for name, value in flags.items() if value}


def _understood(status: int, content: bytes, call: str) -> dict[str, t.Any]:
    try:
        document = json.loads(content) if content else {}
    except ValueError:
        document = None
    if status >= 400 and isinstance(document, dict) and document:
        raise SsodRefusal(status, document)
    if status < 200 or status >= 300 or not isinstance(document, dict):
        # The content is left out on purpose: it is from a program that we do not know.
        raise SsodAnswerUnknown(
            "answer-unknown",
            f"{call} was answered with status {status} and no document that this collection knows",
            "compare the versions of the collection and of ssod (`ssoctl --version`), and the option `socket`",
        )
    return document


def _unreachable(path: str, error: OSError) -> SsodUnreachable:
    running = "is ssod running on this host? systemctl status ssod"
    if isinstance(error, FileNotFoundError):
        return SsodUnreachable("ssod-unreachable", f"there is no socket {path}", running)
    if isinstance(error, ConnectionRefusedError):
        return SsodUnreachable("ssod-unreachable", f"nobody listens on the socket {path}", running)
    if isinstance(error, PermissionError):
        return SsodUnreachable(
            "ssod-unreachable",
            f"this user may not open the socket {path}",
            f"run the task as a user that may (become, become_user): see `ls -l {path}` for its group",
        )
    reason = errno.errorcode.get(error.errno, "") if error.errno else ""
    return SsodUnreachable("ssod-unreachable", f"the socket {path} cannot be used: {error} {reason}".rstrip(), running)


def _ended(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
