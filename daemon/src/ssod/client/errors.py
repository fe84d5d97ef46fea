"""Every way in which a request to ssod ends other than well, as one exception tree.

HoldfastError
├── Unreachable              no answer at all
├── NotUnderstood            an answer that is not ssod's, or of another version
└── Problem                  ssod's own refusal
    ├── Refused         409  NoCredentials
    ├── Rejected        422  CiphertextRejected, UnknownKeyId, TicketRejected
    ├── BadRequest      400
    ├── NotAllowed      403  ApplicationDisabled, SsoDisabled, MappingDisabled, TicketsNotAllowed
    ├── NotFound        404  the only answer that means absent: ApplicationNotFound, ConfigNotFound, MappingNotFound
    └── Unavailable     503  true now, will pass
        ├── Detached         decryption and reading go on, nothing new is encrypted: MasterLost, MastershipUnconfirmed
        └── NoKeyring, NotBackedUp, DatabaseUnavailable, AuditUnavailable
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar


class HoldfastError(Exception):
    pass


class Unreachable(HoldfastError):
    """`perhaps_done`: the request had been sent when the connection was lost."""

    def __init__(self, detail: str, *, perhaps_done: bool) -> None:
        super().__init__(detail)
        self.perhaps_done = perhaps_done


class NotUnderstood(HoldfastError):
    pass


class Problem(HoldfastError):
    """`problem` is the stable name of the refusal (docs/api.md); the others are for people."""

    name: ClassVar[str] = ""

    def __init__(
        self,
        detail: str,
        *,
        problem: str,
        status: int,
        next_step: str | None = None,
        conditions: Sequence[str] = (),
        tracking_id: str = "",
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.problem = problem
        self.status = status
        self.next_step = next_step
        self.conditions = tuple(conditions)
        self.tracking_id = tracking_id


class Refused(Problem):
    pass


class NoCredentials(Refused):
    name = "no-credentials"


class Rejected(Problem):
    pass


class CiphertextRejected(Rejected):
    name = "ciphertext-rejected"


class UnknownKeyId(Rejected):
    name = "unknown-key-id"


class TicketRejected(Rejected):
    name = "ticket-rejected"


class BadRequest(Problem):
    pass


class NotAllowed(Problem):
    pass


class ApplicationDisabled(NotAllowed):
    name = "application-disabled"


class SsoDisabled(NotAllowed):
    name = "sso-disabled"


class MappingDisabled(NotAllowed):
    name = "mapping-disabled"


class TicketsNotAllowed(NotAllowed):
    name = "tickets-not-allowed"


class NotFound(Problem):
    pass


class ApplicationNotFound(NotFound):
    name = "application-not-found"


class ConfigNotFound(NotFound):
    name = "config-not-found"


class MappingNotFound(NotFound):
    name = "mapping-not-found"


class Unavailable(Problem):
    pass


class Detached(Unavailable):
    pass


class MasterLost(Detached):
    name = "master-lost"


class MastershipUnconfirmed(Detached):
    name = "mastership-unconfirmed"


class NoKeyring(Unavailable):
    name = "no-keyring"


class NotBackedUp(Unavailable):
    name = "not-backed-up"


class DatabaseUnavailable(Unavailable):
    name = "database-unavailable"


class AuditUnavailable(Unavailable):
    name = "audit-unavailable"


_BY_STATUS: dict[int, type[Problem]] = {403: NotAllowed, 404: NotFound, 409: Refused, 422: Rejected, 503: Unavailable}


def _named(kind: type[Problem]) -> dict[str, type[Problem]]:
    found = {kind.name: kind} if kind.name else {}
    for child in kind.__subclasses__():
        found |= _named(child)
    return found


_BY_NAME = _named(Problem)


def problem_in(status: int, body: bytes) -> HoldfastError:
    """The exception for an answer of 400 and more. A refusal that is not known by name is of its status's kind."""
    try:
        document: dict[str, Any] = json.loads(body)
        problem = str(document["type"]).rpartition(":")[2]
        kind = _BY_NAME.get(problem) or _BY_STATUS.get(status, BadRequest if status < 500 else Problem)
        return kind(
            document.get("detail") or document["title"],
            problem=problem,
            status=status,
            next_step=document.get("next"),
            conditions=document.get("conditions", ()),
            tracking_id=document.get("tracking_id", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return NotUnderstood(f"an answer with HTTP status {status} and no problem document")
