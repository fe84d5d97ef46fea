"""The shapes of ssod's answers on the master secret that `ssoctl` reads: key ids, backups, and a rotation's steps."""

from __future__ import annotations

import msgspec

from ssod.cli.documents import Document, Notified


class Key(Document, frozen=True):
    key_id: str
    state: str
    created_at: str | None = None
    retired_at: str | None = None


class VerifiedBackup(Document, frozen=True):
    key_id: str
    verified_at: str
    place: str | None = None
    sha256: str | None = None
    protection: str | None = None


class Secret(Document, frozen=True):
    environment_id: str
    keys: list[Key]
    held_key_ids: list[str]
    current_key_id: str | None = None
    epoch: int | None = None
    generated_at: str | None = None
    sealed_key_id: str | None = None
    backup: VerifiedBackup | None = None


class Backup(Document, frozen=True):
    """`about` stays as ssod wrote it: it is stored beside the backup for people and programs of later years."""

    backup: str
    about: msgspec.Raw


class About(Document, frozen=True):
    environment_id: str
    current_key_id: str
    made_at: str
    made_by: str | None = None
    protection: str | None = None
    reminder: str | None = None


class BackupVerified(Document, frozen=True):
    environment_id: str
    current_key_id: str
    key_ids: list[str]
    sha256: str


class BackupCompared(Document, frozen=True):
    environment_id: str
    current_key_id: str
    key_ids: list[str]
    recorded: bool
    fits: bool
    reasons: list[str]


class Restored(Document, frozen=True):
    changed: bool
    current_key_id: str
    key_ids: list[str]


class NextKey(Document, frozen=True):
    key_id: str
    backup: VerifiedBackup | None = None


class Rotation(Document, frozen=True):
    """`values` counts, by key id, what is sealed under each."""

    values: dict[str, int]
    left: int
    current_key_id: str | None = None
    next: NextKey | None = None


class Prepared(Document, frozen=True):
    changed: bool
    current_key_id: str
    next_key_id: str


class Switched(Document, frozen=True):
    changed: bool
    current_key_id: str
    servers: list[Notified]


class ValuePlace(Document, frozen=True):
    kind: str
    application: str
    owner: str
    field: str


class Renewed(Document, frozen=True):
    renewed: int
    damaged: list[ValuePlace]
    last: ValuePlace | None = None


class KeptKey(Document, frozen=True):
    key_id: str
    reason: str


class Pruned(Document, frozen=True):
    pruned: list[str]
    kept: list[KeptKey]
