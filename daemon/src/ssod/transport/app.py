"""The edge: an ASGI function that finds the route, reads the body, and turns every error into a problem document once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, unquote

import msgspec
from httptools import HttpParserInvalidURLError, parse_url
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ssod.core.access import Caller
from ssod.errors import (
    BodyTooLarge,
    CertificateRevoked,
    Forbidden,
    Malformed,
    MethodNotAllowed,
    NoSuchPath,
    SsodError,
    UnknownCaller,
    WrongContentType,
)
from ssod.service.denials import Denials
from ssod.service.ports import Call
from ssod.transport.callers import Callers
from ssod.transport.description import Description
from ssod.transport.protocol import Peer, TlsPeer

BODY_BYTES = 16 << 20
PROBLEM_PREFIX = "urn:holdfast:problem:"

# Stands for the part of a path that takes any one segment.
ANY = "{}"
# How many URLs of GETs are remembered, and up to which length: what clients ask for again and again.
KNOWN_URLS = 4096
KNOWN_URL_BYTES = 512
# Seconds that a request may wait for something to happen.
LONGEST_WAIT = 3600.0

_PROBLEM = b"application/problem+json"
_JSON = b"application/json"
_NO_STORE = (b"cache-control", b"no-store")
_encode = msgspec.json.Encoder().encode


class Request(NamedTuple):
    call: Call
    peer: Peer
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: list[tuple[bytes, bytes]]
    body: bytes
    callers: Callers

    def renewed(self) -> Request:
        """The same, of who the peer is by now: while it waits, a user's groups change and certificates are revoked.

        Raises UnknownCaller, CertificateRevoked.
        """
        return self._replace(call=Call(self.callers.of(self.peer), self.call.tracking_id))

    def flag(self, name: str) -> bool:
        """A query parameter that is `true` or `false`, false when it is not there."""
        value = self.query.get(name, "false")
        if value not in {"true", "false"}:
            raise Malformed(f"{name} is true or false")
        return value == "true"

    def seconds(self, name: str, longest: float) -> float:
        """A query parameter that says how long to wait; what is longer than `longest` is that, and what is not there is 0."""
        try:
            value = float(self.query.get(name, "0"))
        except ValueError:
            value = -1.0
        if not value >= 0:  # neither is NaN
            raise Malformed(f"{name} is a number of seconds")
        return min(value, longest)

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class Response(NamedTuple):
    body: bytes
    status: int = 200
    content_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


Handler = Callable[[Request], Awaitable[Response] | Response]


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    tracking_id: str
    next: str | None = None
    conditions: list[str] = []


class Prompt(NamedTuple):
    """What answers one method and URL without waiting, if it can. `asked` is the URL's path, `path` what each `{name}` is in it."""

    route: Route
    asked: str
    path: tuple[str, ...]
    query: Mapping[str, str]


class Route(NamedTuple):
    """`path` is split at its slashes; a part `{name}` takes any one segment. `alone`: cancelled when the client goes away.

    `prompt`: a GET, or a POST to one path, whose handler mostly answers without waiting, and then without a task of its own
    (protocol.py).
    """

    method: str
    path: str
    handler: Handler
    description: Description
    alone: bool = False
    prompt: bool = False


def answer(value: object) -> Response:
    return Response(_encode(value))


def problem(error: SsodError, tracking_id: str) -> Response:
    document = Problem(
        PROBLEM_PREFIX + error.problem,
        error.title,
        error.status,
        error.detail,
        tracking_id,
        error.next_step,
        list(error.conditions),
    )
    headers = ((b"allow", error.allowed.encode()),) if isinstance(error, MethodNotAllowed) else ()
    return Response(_encode(document), error.status, _PROBLEM, headers)


class App:
    """ASGI 3, HTTP only."""

    # Of every App of this process: no two requests have the same tracking id.
    _numbers = itertools.count(1)

    def __init__(
        self,
        routes: list[Route],
        callers: Callers,
        tracking_prefix: str,
        denials: Denials,
        observe: Callable[[str, SsodError | None], None],
        defect: Callable[[str, BaseException], None],
    ) -> None:
        self._callers = callers
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[tuple[str, ...], dict[str, Route]]] = []
        for route in routes:
            if "{" not in route.path:
                self._exact.setdefault(route.path, {})[route.method] = route
                continue
            parts = tuple(ANY if part.startswith("{") else part for part in route.path.split("/"))
            methods = next((known for pattern, known in self._patterns if pattern == parts), None)
            if methods is None:
                methods = {}
                self._patterns.append((parts, methods))
            methods[route.method] = route
        # A path that is written out goes before one that takes any segment in its place.
        self._patterns.sort(key=lambda known: [part == ANY for part in known[0]])
        self._prompts = {
            (route.method.encode(), route.path.encode()): Prompt(route, route.path, (), {})
            for route in routes
            if route.prompt and "{" not in route.path
        }
        # As clients ask for the same ones again and again, what their URLs mean is found out once; None: nothing prompt.
        self._urls: dict[bytes, Prompt | None] = {}
        self._prefix = tracking_prefix
        self._denials = denials
        self._observe = observe
        self._defect = defect

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        tracking_id = f"{self._prefix}-{next(self._numbers)}"
        try:
            response = await self._respond(scope, receive, tracking_id)
            self._observe(scope["path"], None)
        except Exception as error:
            response = self._failed(scope["method"], scope["path"], scope["peer"], tracking_id, error)
        headers = [
            (b"content-type", response.content_type),
            (b"content-length", b"%d" % len(response.body)),
            _NO_STORE,
            *response.headers,
        ]
        if response.status == 413:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    def _failed(self, method: str, path: str, peer: Peer, tracking_id: str, error: Exception) -> Response:
        if isinstance(error, SsodError):
            self._observe(path, error)
            if isinstance(error, Forbidden):
                self._denials.note(Call(self._named(peer), tracking_id), error, f"{method} {path}")
            return problem(error, tracking_id)
        # A defect: the caller learns only where to look, the journal learns the rest.
        self._defect(tracking_id, error)
        hidden = SsodError("ssod made a mistake", next_step=f"look in the journal for {tracking_id}")
        return problem(hidden, tracking_id)

    def _named(self, peer: Peer) -> Caller:
        """The caller, also one that is not known."""
        try:
            return self._callers.of(peer)
        except (UnknownCaller, CertificateRevoked):
            name = f"certificate:{peer.name or ''}" if isinstance(peer, TlsPeer) else f"uid:{peer.uid}"
            return Caller(name, frozenset())

    def find_prompt(self, method: bytes, url: bytes) -> Prompt | None:
        """What may answer a request without waiting; None when it goes the ordinary way."""
        if method != b"GET":
            return self._prompts.get((method, url))
        try:
            return self._urls[url]
        except KeyError:
            pass
        if len(self._urls) >= KNOWN_URLS:
            self._urls.clear()
        found = self._resolve(url)
        if len(url) <= KNOWN_URL_BYTES:
            self._urls[url] = found
        return found

    def _resolve(self, url: bytes) -> Prompt | None:
        try:
            parsed = parse_url(url)
            asked = unquote((parsed.path or b"").decode("ascii"))
            route, path = self._route("GET", asked, parsed.path)
            query = self._query(parsed.query, route) if parsed.query else {}
        except (SsodError, HttpParserInvalidURLError, UnicodeDecodeError):
            return None  # the ordinary way says what is wrong with it
        return Prompt(route, asked, path, query) if route.prompt else None

    def answer_promptly(self, prompt: Prompt, headers: list[tuple[bytes, bytes]], body: bytes, peer: Peer) -> bytes | None:
        """The whole HTTP answer to a request; None when its handler has to wait, and then it did nothing yet."""
        tracking_id = f"{self._prefix}-{next(self._numbers)}"
        try:
            caller = self._callers.of(peer)
            if body and not self._declares_json(headers):
                raise WrongContentType("the body must come with Content-Type: application/json")
            call = Call(caller, tracking_id)
            response = prompt.route.handler(Request(call, peer, prompt.path, prompt.query, headers, body, self._callers))
            if not isinstance(response, Response):
                cast("Coroutine[Any, Any, Response]", response).close()  # it has not begun
                return None
            self._observe(prompt.asked, None)
        except Exception as error:
            response = self._failed(prompt.route.method, prompt.asked, peer, tracking_id, error)
        return _as_http(response)

    def refuse_what_is_no_http(self, peer: Peer) -> bytes:
        """The whole HTTP answer, as an answer to a request would be; the connection is of no more use after it."""
        tracking_id = f"{self._prefix}-{next(self._numbers)}"
        refusal = self._failed("", "", peer, tracking_id, Malformed("this is no request of HTTP/1.1"))
        return _as_http(refusal._replace(headers=((b"connection", b"close"),)))

    async def _respond(self, scope: dict[str, Any], receive: Any, tracking_id: str) -> Response:
        caller: Caller = self._callers.of(scope["peer"])
        route, path = self._route(scope["method"], scope["path"], scope["raw_path"])
        headers = scope["headers"]
        is_json = self._declares_json(headers)
        message = await receive()
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._whole(body, receive)
        if body and not is_json:
            raise WrongContentType("the body must come with Content-Type: application/json")
        query = self._query(scope["query_string"], route) if scope["query_string"] else {}
        request = Request(Call(caller, tracking_id), scope["peer"], path, query, headers, body, self._callers)
        outcome = route.handler(request)
        if isinstance(outcome, Response):
            return outcome
        if route.alone:
            return await _unless_disconnected(outcome, receive)
        return await outcome

    def _route(self, method: str, path: str, raw_path: bytes) -> tuple[Route, tuple[str, ...]]:
        methods = self._exact.get(path)
        found: tuple[str, ...] = ()
        if methods is None:
            methods, found = self._match(raw_path)
        route = methods.get(method)
        if route is None:
            raise MethodNotAllowed(path, methods)
        return route, found

    def _match(self, raw_path: bytes) -> tuple[dict[str, Route], tuple[str, ...]]:
        # The raw path is split before it is unquoted: a name may hold an escaped slash.
        try:
            parts = [unquote(part, errors="strict") for part in raw_path.decode("ascii").split("/")]
        except UnicodeDecodeError:
            raise Malformed("the path is not UTF-8") from None
        if any("\0" in part for part in parts):
            raise Malformed("a NUL is in no name")  # PostgreSQL could not even look for it
        for pattern, methods in self._patterns:
            if len(pattern) == len(parts) and all(p in (ANY, part) for p, part in zip(pattern, parts, strict=True)):
                return methods, tuple(part for p, part in zip(pattern, parts, strict=True) if p == ANY)
        raise NoSuchPath("there is nothing at this path", next_step="see docs/api.md")

    @staticmethod
    def _query(text: bytes, route: Route) -> dict[str, str]:
        try:
            parsed = parse_qs(text.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        except ValueError:
            raise Malformed("the query cannot be read") from None
        # A misspelt dry_run, or one that is given twice, must not be the act itself.
        known = {query.name for query in route.description.query}
        if not parsed.keys() <= known:
            raise Malformed(f"this path takes {', '.join(sorted(known)) or 'nothing'} in its query, and something else was given")
        if any(len(values) > 1 for values in parsed.values()):
            raise Malformed("a query parameter is given twice")
        return {name: value for name, (value,) in parsed.items()}

    @staticmethod
    def _declares_json(headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether the body is said to be JSON; refuses one that is said to be too large before it is read."""
        is_json = False
        for name, value in headers:
            if name == b"content-type":
                is_json = value == _JSON or value.partition(b";")[0].strip().lower() == _JSON
            elif name == b"content-length" and int(value) > BODY_BYTES:
                raise BodyTooLarge(f"the body has {int(value)} bytes, the limit is {BODY_BYTES}")
        return is_json

    @staticmethod
    async def _whole(body: bytes, receive: Any) -> bytes:
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > BODY_BYTES:
                raise BodyTooLarge(f"the body has more than {BODY_BYTES} bytes")
        return body


def _as_http(response: Response) -> bytes:
    return b"%bcontent-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\n%b\r\n%b" % (
        STATUS_LINE[response.status],
        response.content_type,
        len(response.body),
        b"".join([b"%b: %b\r\n" % header for header in response.headers]),
        response.body,
    )


async def _unless_disconnected(outcome: Awaitable[Response], receive: Any) -> Response:
    """Ends a handler that only waits, when nobody waits for it any more."""
    work = asyncio.ensure_future(outcome)
    gone = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Malformed("the client went away")
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
