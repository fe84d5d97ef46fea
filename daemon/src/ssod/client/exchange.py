"""What is sent for each question, and what its answer means. No socket is here: both clients ask the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from .answers import Config, Credentials, Ticket
from .errors import NotUnderstood, problem_in

T = TypeVar("T")


class Response(NamedTuple):
    """The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Question(Generic[T]):
    """`repeatable`: asking it twice does no harm, so it may be sent again when the connection was lost under it."""

    def __init__(
        self, method: str, target: str, read: Callable[[dict[str, Any]], T], body: object = None, *, repeatable: bool = True
    ) -> None:
        self.method = method
        self.target = target
        self.body = None if body is None else json.dumps(body).encode()
        self.headers = {"Host": "ssod", "Accept": "application/json"}
        if self.body is not None:
            self.headers |= {"Content-Type": "application/json", "Content-Length": str(len(self.body))}
        self.repeatable = repeatable
        self._read = read

    def take(self, response: Response) -> T:
        """Raises Problem, NotUnderstood."""
        if response.status >= 400:
            raise problem_in(response.status, response.body)
        try:
            return self._read(json.loads(response.body))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise NotUnderstood(f"an answer with HTTP status {response.status} of another shape") from None


def _path(*segments: str) -> str:
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def get_config(application: str, name: str, *, reveal: bool) -> Question[Config]:
    return Question("GET", _path("applications", application, "config", name) + ("?reveal=true" if reveal else ""), _config)


def get_credentials(application: str) -> Question[Credentials]:
    return Question("GET", _path("applications", application, "credentials"), _credentials)


def encrypt(application: str, context: str, plaintext: bytes) -> Question[str]:
    body = {"application": application, "context": context, "plaintext": base64.b64encode(plaintext).decode()}
    return Question("POST", "/v1/encrypt", lambda document: str(document["ciphertext"]), body)


def decrypt(application: str, context: str, ciphertext: str) -> Question[bytes]:
    body = {"application": application, "context": context, "ciphertext": ciphertext}
    return Question("POST", "/v1/decrypt", lambda document: base64.b64decode(document["plaintext"], validate=True), body)


def issue_ticket(application: str) -> Question[Ticket]:
    path = _path("applications", application, "tickets")
    return Question("POST", path, lambda document: Ticket(str(document["ticket"]), str(document["expires_at"])), {})


def redeem_ticket(application: str, ticket: str, sender: str | None) -> Question[Credentials]:
    """Not repeatable: a ticket for single use would be refused, though its credentials never arrived."""
    path = _path("applications", application, "tickets", "redeem")
    return Question("POST", path, _credentials, {"ticket": ticket, "sender": sender}, repeatable=False)


class Watch:
    """One configuration, asked for again and again: the server answers when it is another, or after `wait` seconds."""

    def __init__(self, application: str, name: str, *, reveal: bool, wait: float) -> None:
        self._plain = get_config(application, name, reveal=reveal)
        self._wait = wait
        self._etag: str | None = None
        self._seen: int | None = None

    @property
    def patience(self) -> float:
        """How long the answer may take by design (seconds)."""
        return self._wait if self._etag is not None else 0.0

    def question(self) -> Question[Config]:
        target = self._plain.target
        if self._etag is None:
            return Question("GET", target, _config)
        question = Question("GET", f"{target}{'&' if '?' in target else '?'}wait={self._wait:g}", _config)
        question.headers["If-None-Match"] = self._etag
        return question

    def take(self, response: Response) -> Config | None:
        """The configuration, if it is another than the last time. Raises Problem, NotUnderstood."""
        if response.status == 304:
            return None
        config = self._plain.take(response)
        etag, self._etag = self._etag, response.headers.get("etag")
        if config.version == self._seen and etag == self._etag:
            return None
        self._seen = config.version
        return config

    def is_idle(self, response: Response) -> bool:
        """Whether the answer came without waiting and without news: then to ask again at once would only be a burden."""
        return response.status != 304


def _config(document: dict[str, Any]) -> Config:
    return Config(
        document["application"],
        document["name"],
        document["version"],
        dict(document["properties"]),
        tuple(document["masked"]),
        document["key_id"],
        document["updated_at"],
        document.get("cached_at"),
    )


def _credentials(document: dict[str, Any]) -> Credentials:
    return Credentials(
        document["application"],
        document["principal"],
        document["external_id"],
        dict(document["credentials"]),
        document["key_id"],
        document.get("cached_at"),
    )
