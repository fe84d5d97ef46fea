"""What ssod answers with, as docs/api.md shows it: one struct a document. A route may write a dict of the same shape."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ssod.core.states import Attachment, Mastership
from ssod.storage.changes import Kind
from ssod.storage.records import ApplicationType, Field, Flags

KeyId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Answer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pass


class Nothing(Answer, frozen=True):
    pass


class Health(Answer, frozen=True):
    state: Attachment
    sentence: str


Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Certificate(Answer, frozen=True):
    key: Hash
    serial: str
    expires_at: Time
    days_left: int
    issuer: Hash | None
    authorities: list[Hash]
    revoked: bool


class Cache(Answer, frozen=True):
    max_age_seconds: float
    vouched_at: Time | None
    used_until: Time | None
    refusal: str | None


class Sealing(Answer, frozen=True):
    key: str | None
    sealed_under: str | None
    problem: str | None
    cache: Cache | None


class ThisServer(Answer, frozen=True):
    name: str
    version: str
    state: Attachment
    since: Time
    sentence: str
    key_id: KeyId | None
    sealed_key_id: KeyId | None
    sealing: Sealing
    held_key_ids: list[KeyId]
    epoch: int
    master: str | None
    mastership: Mastership
    managed_by: Literal["operator", "cluster"]
    mandate: bool
    may_become_master: bool
    unfit: list[str]
    can_encrypt: bool
    can_decrypt: bool
    certificate_expires_at: Time
    certificate: Certificate
    uptime_seconds: int


class Database(Answer, frozen=True):
    reachable: bool
    kind: Literal["postgresql", "sqlite"]
    detail: str | None


class Environment(Answer, frozen=True):
    id: str
    master: str | None
    epoch: int
    epoch_since: Time | None
    master_confirmed_seconds: float | None
    current_key_id: KeyId | None
    backup_verified_at: Time | None
    backup_place: str | None
    disabled_at: Time | None


class Server(Answer, frozen=True):
    name: str
    address: str
    may_become_master: bool
    attached: bool | None
    key_id: KeyId | None
    sealed_key_id: KeyId | None
    epoch: int | None
    version: str | None
    last_seen: Time | None
    audit_sequence: int | None
    audit_head: str | None


class Status(Answer, frozen=True):
    server: ThisServer
    database: Database
    environment: Environment | None
    servers: list[Server] | None


class Servers(Answer, frozen=True):
    servers: list[Server]


class Revocation(Answer, frozen=True):
    name: str
    key: Hash
    serial: str
    expires_at: Time
    revoked_at: Time


class Revocations(Answer, frozen=True):
    revocations: list[Revocation]


class ServerRemoved(Answer, frozen=True):
    revoked: list[Revocation]


class Master(Answer, frozen=True):
    this_server: str
    master: str | None
    epoch: int
    mastership: Mastership
    managed_by: Literal["operator", "cluster"]
    may_become_master: bool
    sentence: str


class Fitness(Answer, frozen=True):
    mastership: Mastership
    mandate: bool
    score: int
    reason: str


class SelfTest(Answer, frozen=True):
    ok: bool
    key_id: KeyId
    micros: int


class Noticed(Answer, frozen=True):
    name: str
    reachable: bool
    attached: bool
    key_id: KeyId | None
    epoch: int | None
    seconds: float
    detail: str | None
    held_key_ids: list[KeyId]
    sealed_key_id: KeyId | None


class Activated(Answer, frozen=True):
    changed: bool
    master: str | None
    epoch: int
    servers: list[Noticed]


class Deactivated(Answer, frozen=True):
    changed: bool
    epoch: int
    recorded: bool


class NoticeTaken(Answer, frozen=True):
    name: str
    attached: bool
    key_id: KeyId | None
    epoch: int
    version: str
    held_key_ids: list[KeyId]
    sealed_key_id: KeyId | None


class Application(Answer, frozen=True):
    name: str
    description: str
    contact: str
    enabled: bool
    administrators: list[str]
    users: list[str]
    fields: list[Field]
    version: int
    type: ApplicationType
    flags: Flags


class Plan(Answer, frozen=True):
    changes: list[str]
    destroys: list[str]


class ApplicationWritten(Application, frozen=True):
    plan: Plan


class ApplicationDeleted(Answer, frozen=True):
    destroys: list[str]


class Applications(Answer, frozen=True):
    applications: list[Application]


class ConfigLine(Answer, frozen=True):
    name: str
    version: int
    updated_at: Time
    fields: list[str]


class Configs(Answer, frozen=True):
    configs: list[ConfigLine]


class Config(Answer, frozen=True):
    application: str
    name: str
    version: int
    updated_at: Time
    key_id: str
    properties: dict[str, str]
    masked: list[str]
    cached_at: Time | None


class Changes(Answer, frozen=True):
    added: list[str]
    changed: list[str]
    removed: list[str]


class ConfigWritten(Answer, frozen=True):
    version: int
    changes: Changes


class Deleted(Answer, frozen=True):
    version: int


class Mapping(Answer, frozen=True):
    principal: str
    external_id: str
    position: int
    enabled: bool
    disabled_by_user: bool
    disabled_by_administrator: bool
    fields: list[str]
    key_id: str | None
    version: int
    updated_at: Time | None


class Mappings(Answer, frozen=True):
    mappings: list[Mapping]
    next: str | None


class MappingChanges(Changes, frozen=True):
    mapping: list[str]


class MappingWritten(Mapping, frozen=True):
    changes: MappingChanges


class Loaded(Answer, frozen=True):
    created: int
    changed: int
    unchanged: int


class Credentials(Answer, frozen=True):
    application: str
    principal: str
    external_id: str
    credentials: dict[str, str]
    key_id: str
    cached_at: Time | None


class Ticket(Answer, frozen=True):
    ticket: str
    expires_at: Time


class UnitCredential(Answer, frozen=True):
    unit: str
    credential: str
    application: str
    config: str
    field: str


class UnitCredentialWritten(UnitCredential, frozen=True):
    changed: bool


class UnitCredentials(Answer, frozen=True):
    unit_credentials: list[UnitCredential]


class Role(Answer, frozen=True):
    role: str
    members: list[str]
    configured: list[str]


class Roles(Answer, frozen=True):
    roles: list[Role]


class MemberChanges(Answer, frozen=True):
    added: list[str]
    removed: list[str]


class RoleWritten(Role, frozen=True):
    changes: MemberChanges


class Sso(Answer, frozen=True):
    enabled: bool
    disabled_at: Time | None


class AuditHead(Answer, frozen=True):
    sequence: int
    head: str


class Change(Answer, frozen=True):
    kind: Kind
    application: str
    name: str


class Watched(Answer, frozen=True):
    cursor: str
    changes: list[Change]
    lost: bool
