"""What crosses the API, as docs/api.md shows it: one struct a body. Unknown members are refused."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from ssod.storage.records import ApplicationType, Field, TicketTimeout

Context = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Short = Annotated[str, msgspec.Meta(max_length=4096)]

BATCH = 1000
VALUE_BYTES = 1 << 20
_BASE64 = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
Bytes = Annotated[bytes, msgspec.Meta(extra_json_schema={"pattern": _BASE64})]
Value = Annotated[Bytes, msgspec.Meta(max_length=VALUE_BYTES)]
Text = Annotated[str, msgspec.Meta(max_length=2 * VALUE_BYTES)]


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Empty(Strict):
    pass


class EncryptBody(Strict):
    application: Name
    context: Context
    plaintext: Value


class DecryptBody(Strict):
    application: Name
    context: Context
    ciphertext: Text


class EncryptBatchBody(Strict):
    application: Name
    context: Context
    plaintexts: Annotated[list[Bytes], msgspec.Meta(min_length=1, max_length=BATCH)]


class DecryptBatchBody(Strict):
    application: Name
    context: Context
    ciphertexts: Annotated[list[str], msgspec.Meta(min_length=1, max_length=BATCH)]


class Ciphertext(msgspec.Struct):
    ciphertext: str


class Plaintext(msgspec.Struct):
    plaintext: Bytes


class Ciphertexts(msgspec.Struct):
    ciphertexts: list[str]


class Plaintexts(msgspec.Struct):
    plaintexts: list[Bytes]


class FlagsBody(Strict):
    """A flag that is not named stays as it is."""

    tickets_allowed: bool | None = None
    tickets_validated: bool | None = None
    tickets_single_use: bool | None = None
    ticket_timeout: TicketTimeout | None = None
    credential_cache: bool | None = None


class ApplicationBody(Strict):
    """`enabled`, `type` and `flags` that are not named stay as they are."""

    description: Short = ""
    contact: Short = ""
    enabled: bool | None = None
    administrators: list[Name] = []
    users: list[Name] = []
    fields: Annotated[list[Field], msgspec.Meta(max_length=256)] = []
    type: ApplicationType | None = None
    flags: FlagsBody = msgspec.field(default_factory=FlagsBody)
    data_loss: Literal["refuse", "accept"] = "refuse"
    if_version: int | None = None


class RoleBody(Strict):
    members: Annotated[list[Name], msgspec.Meta(max_length=1000)]


class SsoBody(Strict):
    enabled: bool


class ConfigBody(Strict):
    """`ciphertexts`, as an export gave them out, are in the place of `properties`."""

    properties: dict[str, Annotated[str, msgspec.Meta(max_length=1 << 16)]] | None = None
    ciphertexts: dict[str, str] | None = None
    if_version: int | None = None


class UnitCredentialBody(Strict):
    config: Name
    field: Name


Principal = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Account = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
Position = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
CredentialValues = dict[str, Annotated[str, msgspec.Meta(max_length=1 << 16)]]


class MappingBody(Strict):
    """`ciphertexts`, as an export gave them out, are in the place of `credentials`."""

    external_id: Account
    position: Position = 0
    disabled_by_administrator: bool | None = None
    credentials: CredentialValues | None = None
    ciphertexts: dict[str, str] | None = None
    if_version: int | None = None


class LoadedMapping(Strict):
    principal: Principal
    external_id: Account
    position: Position = 0
    credentials: CredentialValues | None = None


class LoadBody(Strict):
    mappings: Annotated[list[LoadedMapping], msgspec.Meta(min_length=1, max_length=BATCH)]


class OwnMappingBody(Strict):
    external_id: Account | None = None
    credentials: CredentialValues | None = None
    enabled: bool | None = None


class RedeemBody(Strict):
    ticket: Text
    sender: Principal | None = None


class BackupBody(Strict):
    passphrase: str | None = None
    recipients: list[str] = []
    reminder: Short | None = None


class CompareBody(Strict, kw_only=True):
    """A backup, and what opens it: one of the three."""

    backup: Bytes
    passphrase: str | None = None
    identity: str | None = None
    shares: Annotated[list[Short], msgspec.Meta(max_length=255)] = []


class VerifyBody(CompareBody, kw_only=True):
    place: Short
    record: bool = True


class RestoreBody(CompareBody, kw_only=True):
    dry_run: bool = False


class DistributeBody(Strict):
    servers: list[Name] | None = None
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0


class ValuePlace(Strict):
    """`owner` is the name of a configuration, or a mapping's principal."""

    kind: Literal["config", "mapping"]
    application: Name
    owner: Principal
    field: Name


class SwitchBody(Strict):
    without: list[Name] = []
    timeout: Annotated[float, msgspec.Meta(gt=0, le=60)] = 10.0
    dry_run: bool = False


class RenewBody(Strict):
    after: ValuePlace | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=BATCH)] = BATCH


class PruneBody(Strict):
    days: Annotated[int, msgspec.Meta(ge=0, le=36_500)]
    count: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    dry_run: bool = False


class ActivateBody(Strict):
    expected_epoch: int | None = None
    dry_run: bool = False


class DeactivateBody(Strict):
    dry_run: bool = False


class ServerBody(Strict):
    # Written so that it means the same to Python and to a reader of the description, where `$` and `\s` differ.
    address: Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$(?!\n)", max_length=300)]
    may_become_master: bool = False


class RevocationBody(Strict):
    name: Name
    serial: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,40}$(?!\n)")]
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]


class NoticeBody(Strict):
    master: str
    epoch: int
