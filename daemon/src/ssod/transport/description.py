"""What is published of a route: who may ask, what it takes, what it answers. A route without it cannot be made.

openapi.py makes the OpenAPI document of it; app.py refuses query parameters that it does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, NamedTuple, NewType

import msgspec

from ssod.core.access import RIGHTS
from ssod.errors import (
    ApplicationDisabled,
    ApplicationNotFound,
    AuditUnavailable,
    BodyTooLarge,
    CertificateRevoked,
    CiphertextRejected,
    DatabaseUnavailable,
    Forbidden,
    InvalidValue,
    Malformed,
    MasterLost,
    MastershipUnconfirmed,
    NoKeyring,
    NotBackedUp,
    NotEnrolled,
    SsodError,
    SsoDisabled,
    UnknownCaller,
    UnknownKeyId,
    VersionConflict,
    WrongContentType,
)
from ssod.storage.applications import StaleKey

# Who may ask, where that is not one of the acts of core.access.
ANYBODY: Final = "anybody"
ENROLLED: Final = "an enrolled server, over mutual TLS"

# An answer that is a page for a browser.
Html = NewType("Html", str)

Problems = tuple[type[SsodError], ...]

# What several routes can answer, to be put together in `problems`.
IN_APPLICATION: Final[Problems] = (ApplicationNotFound, ApplicationDisabled, SsoDisabled)
OPENING: Final[Problems] = (NoKeyring, CiphertextRejected, UnknownKeyId)
ENCRYPTING: Final[Problems] = (MasterLost, MastershipUnconfirmed, NoKeyring, NotBackedUp)
STORING: Final[Problems] = (*ENCRYPTING, *OPENING, StaleKey, VersionConflict, InvalidValue)

_EVERY: Final[Problems] = (Malformed, BodyTooLarge, WrongContentType, UnknownCaller, CertificateRevoked)
_GUARDED: Final[Problems] = (Forbidden, DatabaseUnavailable, AuditUnavailable)
_PEERS: Final[Problems] = (NotEnrolled, DatabaseUnavailable)


class Query(NamedTuple):
    """A query parameter. `kind` is its type, as msgspec understands types."""

    name: str
    kind: Any
    text: str


DRY_RUN: Final = Query("dry_run", bool, "Say what would change; change nothing.")
WAIT: Final = Query("wait", Annotated[float, msgspec.Meta(ge=0)], "Seconds to wait for a change.")


@dataclass(frozen=True, slots=True)
class Description:
    """Of one route.

    `who`: an act of core.access.RIGHTS that the caller must be allowed, or ANYBODY, or ENROLLED. `answer`: what a 200 holds; `str`
    is text, `Html` a page. `problems`: what it can refuse with besides what every such route can. `conditional`: it takes
    If-None-Match, and answers with an ETag, or 304. `otherwise`: what is answered with another status and is no problem document.
    """

    summary: str
    who: str
    answer: Any
    body: type[msgspec.Struct] | None = None
    query: tuple[Query, ...] = ()
    problems: Problems = ()
    conditional: bool = False
    otherwise: Mapping[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.who not in {*RIGHTS, ANYBODY, ENROLLED}:
            raise ValueError(f"{self.summary!r}: {self.who!r} is no act of core.access.RIGHTS")

    @property
    def every_problem(self) -> Problems:
        common = {ANYBODY: (), ENROLLED: _PEERS}.get(self.who, _GUARDED)
        return tuple(dict.fromkeys((*_EVERY, *common, *self.problems)))
