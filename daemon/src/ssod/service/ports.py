"""What the services need of the outside: time, chance, the audit log, the other servers."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ssod.core.access import Caller
from ssod.core.audit import AuditLine, Head
from ssod.core.keyring import Keyring
from ssod.core.states import Instant
from ssod.storage.records import ServerRecord


class Clock(Protocol):
    def now(self) -> Instant: ...

    def monotonic(self) -> float: ...


class Call(NamedTuple):
    """One request: who asks, and the id that ties its answer to the audit log and the journal."""

    caller: Caller
    tracking_id: str


class Audit(Protocol):
    def record(self, call: Call, act: str, subject: str, key_id: str = "", outcome: str = "allowed") -> None:
        """Raises AuditUnavailable: no audit, no act."""

    def problem(self) -> str | None:
        """Why nothing could be recorded now; None when it could. Blocks."""

    @property
    def head(self) -> Head:
        """The last line."""

    @property
    def newest(self) -> list[AuditLine]:
        """The last lines, oldest first: as many as are kept at hand."""

    @property
    def anchored(self) -> Head | None:
        """The last line that is known to be on the disk; None before that was seen to."""

    def expect(self, known: Head, by: str) -> str | None:
        """Compares the log with a head of it that is known elsewhere; what is missing is written down, and said."""


class Mandate(Protocol):
    """Whether this server may act as the master, by the word of whoever manages that beside the database."""

    @property
    def managed_by(self) -> str: ...

    def given(self) -> bool:
        """Asked before each act as the master: it is cheap, and does not block."""

    def missing(self) -> str:
        """Why there is none, as a sentence."""


class Noticed(NamedTuple):
    """What a server answered when it was told to refresh. `detail` says why it is not attached. `held_key_ids` are those of its
    keyring; a server of an earlier version does not say.
    """

    name: str
    reachable: bool
    attached: bool
    key_id: str | None
    epoch: int | None
    seconds: float
    detail: str | None
    held_key_ids: list[str] = []  # noqa: RUF012  nobody writes to it
    sealed_key_id: str | None = None


class Fetched(NamedTuple):
    """The master's answer: `keyring` is None when it is the one that was named, or when there is no secret yet."""

    epoch: int
    keyring: Keyring | None


class Peers(Protocol):
    async def fetch(self, master: ServerRecord, etag: str | None, wait: float) -> Fetched:
        """Raises PeerFailed."""

    async def notify(self, server: ServerRecord, master: str, epoch: int, timeout: float) -> Noticed: ...


class PeerRenewed(Exception):
    """The connection was given up because this server's own certificates were renewed: it says nothing of the other."""


class PeerFailed(Exception):
    """Why another server gave no usable answer, as a clause of a sentence."""


class PeerRefused(PeerFailed):
    """The other server says that this one was removed from the environment."""


class NotDelivered(Exception):
    """Why whoever is to be told of an event was not, as a clause of a sentence."""
