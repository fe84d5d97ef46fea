"""Proves that a restored database and a backup belong together, and makes the database that of other servers; without an ssod."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ssod.core.access import check_principal
from ssod.core.keyring import Keyring, Random
from ssod.errors import (
    BackupDamaged,
    BackupOfAnotherEnvironment,
    BackupTooOld,
    InvalidValue,
    NoSecret,
    Rejected,
    RestoreRefused,
)
from ssod.service.rotation import place_of
from ssod.service.sealing import as_the_database_says
from ssod.storage.records import Environment
from ssod.storage.recovery import RecoveryRepository, TakenOver
from ssod.storage.rotation import ValuePlace

DAMAGED_NAMED = 20


class ApplicationProof(msgspec.Struct, frozen=True):
    """How many values the database has of an application, and how many of them were opened."""

    name: str
    values: int
    opened: int


class Proof(msgspec.Struct, frozen=True):
    """What was proved, and what it was proved of. `epoch` is the highest that the two files know. No value is in it."""

    environment_id: str
    epoch: int
    schema_revision: str
    current_key_id: str
    key_ids: list[str]
    backup_key_ids: list[str]
    canaries: int
    values: int
    opened: int
    applications: list[ApplicationProof]
    servers: int
    principals: list[str]


def prove(repository: RecoveryRepository, revision: str, servers: int, keyring: Keyring, sample: int) -> Proof:
    """Opens every canary, and a sample of each application's values under each key that it has values under.

    Raises NoSecret, BackupOfAnotherEnvironment, BackupTooOld; BackupDamaged where a value does not open.
    """
    environment = repository.read()
    groups = repository.groups()
    fitting = _fitting(environment, keyring, {group.key_id for group in groups})
    opened: dict[str, int] = {}
    damaged: list[ValuePlace] = []
    for group in groups:
        for value in repository.sample(group, sample):
            try:
                fitting.open(place_of(value.place), value.envelope)
            except Rejected:
                damaged.append(value.place)
            else:
                opened[group.application] = opened.get(group.application, 0) + 1
    if damaged:
        raise BackupDamaged(
            f"the database holds values that do not open under the key that they name: {len(damaged)} of the sample",
            next_step="take another dump of the database; ssod names such values when it is asked for them",
            conditions=["/".join(place) for place in damaged[:DAMAGED_NAMED]],
        )
    counts: dict[str, int] = dict.fromkeys(repository.applications(), 0)
    for group in groups:
        counts[group.application] = counts.get(group.application, 0) + group.values
    return Proof(
        environment.id,
        max(environment.epoch, keyring.epoch),
        revision,
        fitting.current.id.hex(),
        sorted(key.key_id.hex() for key in environment.keys),
        sorted(key.hex() for key in keyring.keys),
        len(environment.keys),
        sum(counts.values()),
        sum(opened.values()),
        [ApplicationProof(name, count, opened.get(name, 0)) for name, count in sorted(counts.items())],
        servers,
        repository.principals(),
    )


def _fitting(environment: Environment, keyring: Keyring, referred: set[bytes]) -> Keyring:
    """The keyring, as this database has it used."""
    if environment.current_key_id is None:
        raise NoSecret("the database is that of an environment without a master secret", next_step="take another dump")
    if keyring.environment != environment.id:
        raise BackupOfAnotherEnvironment(
            f"the two do not belong together: the backup is of environment {keyring.environment}, the database of {environment.id}",
            next_step="FILE.about.json names the environment of a backup, and manifest.json that of a pair",
        )
    missing = [
        f"values are sealed under key id {key.hex()}, which is not in the backup" for key in sorted(referred - keyring.keys.keys())
    ]
    fitting = as_the_database_says(keyring, environment)
    failed = missing + keyring.failed_canaries(environment.canaries)
    if failed or fitting.current.id != environment.current_key_id:
        raise BackupTooOld(
            "the backup lacks a key that the database needs",
            next_step="take a backup of the master secret that is newer than this database",
            conditions=failed or ["the database's current key is not in the backup"],
        )
    return fitting


def take_over(
    repository: RecoveryRepository, keyring: Keyring, renamed: Mapping[str, str], random: Random, now: datetime
) -> TakenOver:
    """Makes the database one that other servers can begin with. Raises what `prove` raises, InvalidValue, RestoreRefused."""
    for before, after in renamed.items():
        check_principal(before)
        if check_principal(after).partition(":")[0] != before.partition(":")[0]:
            raise InvalidValue(f"{before} cannot become {after}", next_step="a group becomes a group, a user a user")
    environment = repository.read()
    fitting = _fitting(environment, keyring, {group.key_id for group in repository.groups()})

    def reseal(before: ValuePlace, after: ValuePlace, envelope: bytes) -> bytes:
        try:
            return fitting.seal(place_of(after), fitting.open(place_of(before), envelope), random)
        except Rejected:
            raise RestoreRefused(
                f"the value {'/'.join(before)} does not open, and cannot be sealed for {after.owner}",
                next_step="leave this principal its name",
            ) from None

    return repository.take_over(keyring.epoch, renamed, reseal, now)
