"""What the repository gives and takes: frozen values, one a row or an aggregate."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec


class KeyRecord(NamedTuple):
    """`retired_at` is None for the current one."""

    key_id: bytes
    canary: bytes
    created_at: datetime
    retired_at: datetime | None = None


class BackupRecord(NamedTuple):
    sha256: str
    key_id: bytes
    verified_at: datetime
    place: str
    protection: str


class NextKey(NamedTuple):
    """The secret that a rotation is to make current. `backup` is a verified one that holds it; None when there is none."""

    key_id: bytes
    canary: bytes
    created_at: datetime
    backup: BackupRecord | None


class Environment(NamedTuple):
    """`backup` is the newest verified backup of the current key; None when there is none. `keys` are those that rows may be sealed
    under; `next_key` is none of them yet.

    `earlier_master_confirmed` is how many seconds ago, by the database's clock, a master of an earlier epoch last confirmed its
    mastership: it may act for a while yet. None when there is none such, or when it has stepped down. `confirmation` is when, by
    the same clock, the master of this epoch last confirmed its own, and `confirmed_ago` how many seconds that was before it was
    read. `roster` is another text since each change of which servers are enrolled, and where. `epoch_since` is since when the
    epoch is this one; None where the database has not noted it.
    """

    id: str
    master: str | None
    epoch: int
    current_key_id: bytes | None
    keys: tuple[KeyRecord, ...]
    backup: BackupRecord | None
    earlier_master_confirmed: float | None = None
    confirmation: float | None = None
    confirmed_ago: float | None = None
    next_key: NextKey | None = None
    roster: str = ""
    epoch_since: datetime | None = None

    @property
    def canaries(self) -> dict[bytes, bytes]:
        return {key.key_id: key.canary for key in self.keys}


class ServerReport(NamedTuple):
    """What a server says of itself. Where its audit log ends is left as it was when it does not say."""

    attached: bool
    key_id: str | None
    sealed_key_id: str | None
    epoch: int
    version: str
    audit_sequence: int | None = None
    audit_head: str | None = None


class ServerRecord(NamedTuple):
    name: str
    address: str
    may_become_master: bool
    attached: bool | None
    key_id: str | None
    sealed_key_id: str | None
    epoch: int | None
    version: str | None
    last_seen: datetime | None
    audit_sequence: int | None = None
    audit_head: str | None = None


class Certificate(NamedTuple):
    """`key` is the SHA-256 of its public key, `serial` its serial number, both in hex. `name` is its first DNS name."""

    name: str
    key: str
    serial: str
    expires_at: datetime


class Revocation(NamedTuple):
    """A certificate that every server refuses, as is any other with its key."""

    name: str
    key: str
    serial: str
    expires_at: datetime
    revoked_at: datetime


class Look(NamedTuple):
    """The environment, and the servers enrolled in it: None for who knows those of the environment's `roster`."""

    environment: Environment
    servers: tuple[ServerRecord, ...] | None


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field of an application; their order is that of the list. `label` is what people read."""

    name: str
    masked: bool = False
    label: Annotated[str, msgspec.Meta(max_length=256)] = ""


class ApplicationType(StrEnum):
    """What an application keeps: credentials of one user each, of groups, of hosts, or configurations."""

    INDIVIDUAL = "individual"
    GROUP = "group"
    HOST_GROUP = "host_group"
    CONFIG_STORE = "config_store"


# In seconds, up to a day: a ticket carries the groups that its holder had when it was issued.
TicketTimeout = Annotated[int, msgspec.Meta(ge=1, le=86_400)]


class Flags(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`tickets_validated`: a ticket is redeemed only together with the name of its sender."""

    tickets_allowed: bool = False
    tickets_validated: bool = True
    tickets_single_use: bool = False
    ticket_timeout: TicketTimeout = 120
    credential_cache: bool = True


class Application(NamedTuple):
    name: str
    description: str
    contact: str
    enabled: bool
    administrators: tuple[str, ...]
    users: tuple[str, ...]
    fields: tuple[Field, ...]
    version: int
    type: ApplicationType = ApplicationType.CONFIG_STORE
    flags: Flags = Flags()


class Uses(NamedTuple):
    """How many rows of each kind are stored."""

    configs: int
    mappings: int
    unit_credentials: int


class Stored(NamedTuple):
    """What is stored for an application, and how much of that holds each of the fields that were asked for."""

    all: Uses
    by_field: dict[str, Uses]


class Standing(NamedTuple):
    """What decides over every request. `members` has the principals of an environment-wide role by its name.

    `disabled_at` is since when SSO is disabled; None while it is enabled.
    """

    applications: tuple[Application, ...]
    members: dict[str, frozenset[str]]
    disabled_at: datetime | None
    revoked: tuple[Revocation, ...] = ()


class UnitCredential(NamedTuple):
    """A systemd unit is given this field of a configuration as a credential: the grant, and where the value lives."""

    unit: str
    credential: str
    application: str
    config: str
    field: str


class ConfigEntry(NamedTuple):
    """One line of a list: names only."""

    name: str
    version: int
    updated_at: datetime
    fields: tuple[str, ...]


class ConfigRecord(NamedTuple):
    """A configuration as it is stored: envelopes by field, never plaintext."""

    application: str
    name: str
    version: int
    updated_at: datetime
    envelopes: dict[str, bytes]


class Mapping(NamedTuple):
    """A principal's account outside, in one application. `key_ids` names, by field, the key that each value is sealed under.

    `version` and `updated_at` are 0 and None for one that is not there yet.
    """

    principal: str
    external_id: str
    position: int
    disabled_by_user: bool
    disabled_by_administrator: bool
    version: int
    updated_at: datetime | None
    key_ids: dict[str, bytes]

    @property
    def enabled(self) -> bool:
        return not (self.disabled_by_user or self.disabled_by_administrator)


class SealedMapping(NamedTuple):
    """A mapping with its values as they are stored: envelopes by field, never plaintext."""

    mapping: Mapping
    envelopes: dict[str, bytes]


class MappingChange(NamedTuple):
    """How a mapping is to become, on top of the version that it names. `envelopes` is None when its values stay as they are."""

    mapping: Mapping
    envelopes: dict[str, bytes] | None
