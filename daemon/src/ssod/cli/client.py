"""Speaks HTTP with ssod over its unix socket, and turns every problem document into one exception."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import quote

import msgspec

from ssod.cli.documents import Problem
from ssod.cli.errors import CliError, NotAllowed, ProblemAnswer, Unreachable, UsageRefused
from ssod.cli.journal import Act, Journal
from ssod.errors import UNREADABLE

# More than ssod waits for a database that has vanished, less than a monitor waits for us.
READ_SECONDS = 15.0
# An activation waits for the other servers, a backup for scrypt: both by design, both far below this.
ACT_SECONDS = 180.0
# A whole batch of the largest allowed values stays below it; more than that is not ssod's.
LARGEST_ANSWER_BYTES = 256 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """A document as ssod wrote it (`raw`, for `--json`) and as a struct."""

    raw: bytes
    document: T


def path_of(*segments: str) -> str:
    """`/v1/...` out of names, each of which may hold any character."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection whose other end is a socket in the file system."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Client:
    """One request, one connection: commands are short, and ssod may be restarted between two of them."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path = path
        self._journal = journal

    def read(self, path: str, shape: type[T]) -> Answer[T]:
        """A GET. Raises ProblemAnswer, Unreachable or NotAllowed."""
        return self._request("GET", path, None, shape, seconds=READ_SECONDS)

    def compute(self, path: str, body: Mapping[str, object] | None, shape: type[T], *, method: str = "POST") -> Answer[T]:
        """A request that leaves nothing changed behind, such as a decryption or a dry run."""
        return self._request(method, path, body, shape, seconds=ACT_SECONDS)

    def act(self, method: str, path: str, body: Mapping[str, object] | None, shape: type[T], act: Act) -> Answer[T]:
        """A request that changes something; the journal knows it as `act`."""
        with self._journal.step(act):
            return self._request(method, path, body, shape, seconds=ACT_SECONDS, act=act)

    def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        shape: type[T],
        *,
        seconds: float,
        act: Act | None = None,
    ) -> Answer[T]:
        connection = UnixConnection(self._path, seconds)
        try:
            self._connect(connection)
            status, raw = self._exchange(connection, method, path, body, act)
        finally:
            connection.close()
        if status >= 400:
            raise problem_in(status, raw)
        if status != http.HTTPStatus.OK:
            raise _not_understood(f"an answer with HTTP status {status}", act)
        try:
            return Answer(raw, msgspec.json.decode(raw, type=shape))
        except UNREADABLE as error:
            raise _not_understood(f"a document of another shape ({error})", act) from None

    def _connect(self, connection: UnixConnection) -> None:
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            raise Unreachable(
                f"ssod cannot be reached: nothing listens on {self._path}",
                next_step="see `systemctl status ssod`, or name its socket with --socket or SSOD_SOCKET",
            ) from None
        except PermissionError:
            raise NotAllowed(
                f"your user may not open ssod's socket {self._path}",
                next_step="ask an SSO administrator for membership in a group that may",
            ) from None
        except OSError as error:
            if not isinstance(error, TimeoutError) and error.errno is None:
                raise UsageRefused(f"{self._path} cannot be a socket: {error}", next_step="give --socket a shorter path") from None
            raise Unreachable(
                f"ssod cannot be reached on {self._path}: {error.strerror or error}",
                next_step="see `systemctl status ssod`",
            ) from None

    def _exchange(
        self,
        connection: UnixConnection,
        method: str,
        path: str,
        body: Mapping[str, object] | None,
        act: Act | None,
    ) -> tuple[int, bytes]:
        payload = None if body is None else msgspec.json.encode(body)
        headers = {"Accept": "application/json"}
        if payload is not None:
            headers["Content-Type"] = "application/json"
        try:
            # ssod answers a body that is too large before it has read all of it, and then takes no more.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, payload, headers)
            response = connection.getresponse()
            raw = response.read(LARGEST_ANSWER_BYTES + 1)
        except TimeoutError:
            raise _lost(f"ssod on {self._path} did not answer within {connection.timeout:.0f} s", act) from None
        except (OSError, http.client.HTTPException) as error:
            raise _lost(f"the connection to ssod on {self._path} was lost ({type(error).__name__})", act) from None
        if len(raw) > LARGEST_ANSWER_BYTES:
            raise _not_understood("an answer without an end", act)
        return response.status, raw


def problem_in(status: int, raw: bytes) -> CliError:
    try:
        problem = msgspec.json.decode(raw, type=Problem)
    except UNREADABLE:
        return _not_understood(f"HTTP status {status} without a problem document", None)
    return ProblemAnswer(
        f"{problem.title}: {problem.detail}" if problem.detail and problem.detail != problem.title else problem.title,
        name=problem.type.rpartition(":")[2],
        status=status,
        next_step=problem.next or "",
        conditions=problem.conditions or (),
        tracking_id=problem.tracking_id or "",
    )


def _lost(what: str, act: Act | None) -> Unreachable:
    """After a request was sent, only a look can tell whether it was carried out."""
    if act is None:
        return Unreachable(what, next_step="see `systemctl status ssod`, then try again")
    return Unreachable(f"{what}; perhaps done: {act.what}", next_step=f"look with: {act.look}")


def _not_understood(what: str, act: Act | None) -> Unreachable:
    done = f"; perhaps done: {act.what}, look with: {act.look}" if act else ""
    return Unreachable(
        f"what listens there gave {what}, which this ssoctl does not understand{done}",
        next_step="see that ssoctl and ssod are of one version: /opt/ssod/current",
    )
