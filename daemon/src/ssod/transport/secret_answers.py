"""What ssod answers on the master secret, as docs/api.md shows it: key ids, backups, and a rotation's steps."""

from __future__ import annotations

from typing import Literal

from ssod.service.backup import About
from ssod.transport.answers import Answer, KeyId, Noticed, Time
from ssod.transport.documents import Bytes, ValuePlace


class Key(Answer, frozen=True):
    key_id: KeyId
    created_at: Time
    retired_at: Time | None
    state: Literal["current", "next", "retired"]


class VerifiedBackup(Answer, frozen=True):
    key_id: KeyId
    verified_at: Time
    place: str
    sha256: str
    protection: Literal["passphrase", "recipients"]


class Secret(Answer, frozen=True):
    environment_id: str
    current_key_id: KeyId | None
    epoch: int
    generated_at: Time | None
    keys: list[Key]
    held_key_ids: list[KeyId]
    sealed_key_id: KeyId | None
    backup: VerifiedBackup | None


class Backup(Answer, frozen=True):
    backup: Bytes
    about: About


class BackupVerified(Answer, frozen=True):
    environment_id: str
    current_key_id: KeyId
    key_ids: list[KeyId]
    sha256: str


class BackupCompared(Answer, frozen=True):
    environment_id: str
    current_key_id: KeyId
    key_ids: list[KeyId]
    sha256: str
    recorded: bool
    fits: bool
    reasons: list[str]


class Restored(Answer, frozen=True):
    changed: bool
    current_key_id: KeyId
    key_ids: list[KeyId]


class NextKey(Answer, frozen=True):
    key_id: KeyId
    created_at: Time
    backup: VerifiedBackup | None


class Rotation(Answer, frozen=True):
    current_key_id: KeyId | None
    next: NextKey | None
    values: dict[KeyId, int]
    left: int


class Prepared(Answer, frozen=True):
    changed: bool
    current_key_id: KeyId
    next_key_id: KeyId


class Switched(Answer, frozen=True):
    changed: bool
    current_key_id: KeyId
    servers: list[Noticed]


class RenewedValues(Answer, frozen=True):
    renewed: int
    last: ValuePlace | None
    damaged: list[ValuePlace]


class KeptKeyId(Answer, frozen=True):
    key_id: KeyId
    reason: str


class Pruned(Answer, frozen=True):
    pruned: list[KeyId]
    kept: list[KeptKeyId]


class Distributed(Answer, frozen=True):
    key_id: KeyId | None
    next_key_id: KeyId | None
    servers: list[Noticed]


class KeptKey(Answer, frozen=True):
    id: KeyId
    secret: Bytes
    created_at: Time


class Keyring(Answer, frozen=True):
    format: Literal["holdfast keyring 1"]
    environment: str
    epoch: int
    current: KeyId
    backed_up: bool
    keys: list[KeptKey]
