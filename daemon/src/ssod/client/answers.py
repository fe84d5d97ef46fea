"""What ssod answers, as frozen values whose text shows no secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Config:
    """A configuration. `masked` names the masked fields that are set; `cached_at` is when this was read, if the SSO database cannot
    be reached now (RFC 3339).
    """

    application: str
    name: str
    version: int
    properties: Mapping[str, str] = field(repr=False)
    masked: tuple[str, ...]
    key_id: str
    updated_at: str
    cached_at: str | None


@dataclass(frozen=True)
class Credentials:
    """A principal's account in an application: `external_id` is its name there."""

    application: str
    principal: str
    external_id: str
    credentials: Mapping[str, str] = field(repr=False)
    key_id: str
    cached_at: str | None


@dataclass(frozen=True)
class Ticket:
    """Whoever has `ticket` and may redeem it gets the credentials of who issued it, until `expires_at` (RFC 3339)."""

    ticket: str = field(repr=False)
    expires_at: str
