"""The shapes of ssod's answers that `ssoctl` reads (docs/api.md); members it does not show are passed over."""

from __future__ import annotations

import msgspec


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A newer ssod may send more members than these: they are ignored here, and kept in `--json`."""


class Nothing(Document, frozen=True):
    """`{}`"""


class Problem(Document, frozen=True):
    title: str
    type: str = ""
    detail: str | None = None
    next: str | None = None
    tracking_id: str | None = None
    conditions: list[str] | None = None


class Certificate(Document, frozen=True):
    days_left: int
    revoked: bool = False


class Revocation(Document, frozen=True):
    name: str
    key: str
    serial: str
    expires_at: str
    revoked_at: str


class Revocations(Document, frozen=True):
    revocations: list[Revocation]


class ServerRemoved(Document, frozen=True):
    revoked: list[Revocation] = []


class Cache(Document, frozen=True):
    max_age_seconds: float
    vouched_at: str | None = None
    used_until: str | None = None
    refusal: str | None = None


class Sealing(Document, frozen=True):
    """With which key this server seals, and under which its copy is."""

    key: str | None = None
    sealed_under: str | None = None
    problem: str | None = None
    cache: Cache | None = None


class ThisServer(Document, frozen=True):
    name: str
    state: str
    sentence: str
    version: str
    mastership: str
    may_become_master: bool
    can_encrypt: bool
    can_decrypt: bool
    managed_by: str = "operator"
    mandate: bool = True
    unfit: list[str] = []
    since: str | None = None
    key_id: str | None = None
    sealed_key_id: str | None = None
    sealing: Sealing | None = None
    epoch: int | None = None
    master: str | None = None
    certificate_expires_at: str | None = None
    certificate: Certificate | None = None


class Database(Document, frozen=True):
    reachable: bool
    kind: str
    detail: str | None = None


class Environment(Document, frozen=True):
    id: str
    master: str | None = None
    epoch: int | None = None
    epoch_since: str | None = None
    master_confirmed_seconds: float | None = None
    current_key_id: str | None = None
    backup_verified_at: str | None = None
    backup_place: str | None = None
    disabled_at: str | None = None


class Server(Document, frozen=True):
    name: str
    address: str
    may_become_master: bool
    attached: bool | None = None
    key_id: str | None = None
    sealed_key_id: str | None = None
    epoch: int | None = None
    version: str | None = None
    last_seen: str | None = None
    audit_sequence: int | None = None
    audit_head: str | None = None


class Status(Document, frozen=True):
    server: ThisServer
    database: Database
    environment: Environment | None = None
    servers: list[Server] | None = None


class Servers(Document, frozen=True):
    servers: list[Server]


class Master(Document, frozen=True):
    this_server: str
    mastership: str
    may_become_master: bool
    sentence: str
    managed_by: str = "operator"
    master: str | None = None
    epoch: int | None = None


class Notified(Document, frozen=True):
    """How one server took the news of a change of master or of secret."""

    name: str
    reachable: bool
    attached: bool | None = None
    key_id: str | None = None
    epoch: int | None = None
    seconds: float | None = None
    detail: str | None = None


class Activated(Document, frozen=True):
    """After a dry run `master` and `epoch` are those that would be changed."""

    changed: bool
    epoch: int
    master: str | None = None
    servers: list[Notified] | None = None


class Deactivated(Document, frozen=True):
    changed: bool
    epoch: int
    recorded: bool = True


class Field(Document, frozen=True):
    name: str
    masked: bool = False
    label: str = ""


class Application(Document, frozen=True):
    name: str
    enabled: bool
    administrators: list[str]
    users: list[str]
    fields: list[Field]
    version: int
    description: str = ""
    contact: str = ""
    type: str = "config_store"
    flags: dict[str, bool | int] = {}


class Plan(Document, frozen=True):
    """Sentences: what a change of an application does, and which stored data it destroys."""

    changes: list[str]
    destroys: list[str]


class ApplicationWritten(Application, frozen=True, kw_only=True):
    plan: Plan


class ApplicationDeleted(Document, frozen=True):
    destroys: list[str] = []


class Role(Document, frozen=True):
    """`members` count on every server; `configured` are those of the file of the server that answers."""

    role: str
    members: list[str]
    configured: list[str]


class Roles(Document, frozen=True):
    roles: list[Role]


class MemberChanges(Document, frozen=True):
    added: list[str]
    removed: list[str]


class RoleWritten(Role, frozen=True):
    changes: MemberChanges


class Sso(Document, frozen=True):
    enabled: bool
    disabled_at: str | None = None


class Applications(Document, frozen=True):
    applications: list[Application]


class ConfigSummary(Document, frozen=True):
    name: str
    version: int
    updated_at: str
    fields: list[str]


class Configs(Document, frozen=True):
    configs: list[ConfigSummary]


class Config(Document, frozen=True):
    application: str
    name: str
    version: int
    properties: dict[str, str]
    masked: list[str]
    updated_at: str | None = None
    key_id: str | None = None
    cached_at: str | None = None


class Change(Document, frozen=True):
    kind: str
    application: str
    name: str


class Watched(Document, frozen=True):
    cursor: str
    changes: list[Change]
    lost: bool


class Changes(Document, frozen=True):
    added: list[str]
    changed: list[str]
    removed: list[str]


class ConfigWritten(Document, frozen=True):
    version: int
    changes: Changes


class ConfigDeleted(Document, frozen=True):
    version: int


class Mapping(Document, frozen=True):
    principal: str
    external_id: str
    position: int
    enabled: bool
    disabled_by_user: bool
    disabled_by_administrator: bool
    fields: list[str]
    version: int
    key_id: str | None = None
    updated_at: str | None = None


class Mappings(Document, frozen=True):
    mappings: list[Mapping]
    next: str | None = None


class MappingChanges(Changes, frozen=True):
    mapping: list[str]


class MappingWritten(Mapping, frozen=True, kw_only=True):
    changes: MappingChanges


class MappingDeleted(Document, frozen=True):
    version: int


class Loaded(Document, frozen=True):
    created: int
    changed: int
    unchanged: int


class Credentials(Document, frozen=True):
    application: str
    principal: str
    external_id: str
    credentials: dict[str, str]
    key_id: str | None = None
    cached_at: str | None = None


class Ticket(Document, frozen=True):
    ticket: str
    expires_at: str


class UnitCredential(Document, frozen=True):
    unit: str
    credential: str
    application: str
    config: str
    field: str


class UnitCredentials(Document, frozen=True):
    unit_credentials: list[UnitCredential]


class UnitCredentialWritten(UnitCredential, frozen=True):
    changed: bool


class Ciphertext(Document, frozen=True):
    ciphertext: str


class Plaintext(Document, frozen=True):
    plaintext: str


class AuditHead(Document, frozen=True):
    sequence: int
    head: str


class SelfTest(Document, frozen=True):
    ok: bool
    micros: float
    key_id: str | None = None


class Counts(Document, frozen=True):
    applications: int = 0
    roles: int = 0
    configs: int = 0
    mappings: int = 0
    unit_credentials: int = 0


class Imported(Document, frozen=True):
    created: Counts
    unchanged: Counts
