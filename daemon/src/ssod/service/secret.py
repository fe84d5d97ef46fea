"""The life of the master secret: generated, backed up and verified, restored, handed to the other servers."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from ssod.core.keyring import Keyring, Random, generate
from ssod.errors import (
    BackupOfAnotherEnvironment,
    BackupTooOld,
    InvalidValue,
    NoSecret,
    RestoreRefused,
    SecretExists,
    ServerNotFound,
)
from ssod.service import backup as backups
from ssod.service.authority import Authority
from ssod.service.backup import About, Opener
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call, Noticed
from ssod.service.sealing import as_the_database_says
from ssod.storage.records import BackupRecord, Environment, KeyRecord
from ssod.storage.repository import EnvironmentRepository

TRIALS_KEPT = 8


class Verified(NamedTuple):
    keyring: Keyring
    sha256: str


class Compared(NamedTuple):
    """`reasons` say why the backup does not fit the database; `recorded`: it is the one that the environment counts on."""

    keyring: Keyring
    sha256: str
    recorded: bool
    reasons: list[str]


def _lacks(keyring: Keyring, environment: Environment) -> list[str]:
    """What the database needs and the keyring, of this environment, does not hold."""
    if failed := keyring.failed_canaries(environment.canaries):
        return failed
    return [] if keyring.current.id == environment.current_key_id else ["its current key is not the database's current key"]


def instant_text(moment: object) -> str:
    """RFC 3339 in whole seconds, UTC."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class Secret:
    def __init__(
        self,
        node: Node,
        membership: Membership,
        repository: EnvironmentRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
        random: Random,
    ) -> None:
        self._node = node
        self._membership = membership
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._random = random
        self._trials: OrderedDict[str, str] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    def _may(self, call: Call) -> None:
        self._authority.everywhere(call.caller, "manage secret")

    async def show(self, call: Call) -> Environment:
        self._may(call)
        return await self._offload(self._repository.read)

    async def generate(self, call: Call) -> Environment:
        """Makes the first master secret of the environment. Raises NotMaster, SecretExists."""
        self._may(call)
        async with self._one_at_a_time:
            self._node.require_master()
            environment = await self._offload(self._repository.read)
            if environment.current_key_id is not None:
                raise SecretExists(
                    f"the environment has the master secret {environment.current_key_id.hex()}",
                    next_step="nothing to do; to change it, rotate it",
                )
            now = self._node.clock.now().utc
            secret = generate(self._random, instant_text(now))
            self._audit.record(call, "generate secret", "", secret.id.hex())
            # An earlier attempt may have been sealed here, and its transaction may yet arrive: its secret is kept beside.
            sealed = await self._membership.sealing.read()
            earlier = sealed.keys.values() if sealed is not None and sealed.environment == environment.id else ()
            keyring = Keyring(environment.id, self._node.state.epoch, secret, earlier, backed_up=False)
            # Sealed here before the database calls it current, and handed out after: a crash, or an answer of the database that
            # never came, between the two neither loses a current secret nor spreads one that is not.
            await self._membership.sealing.seal(keyring)
            key = KeyRecord(secret.id, secret.canary(self._random), now)
            await self._offload(self._repository.add_first_secret, self._node.state.server, self._node.state.epoch, key)
            self._node.adopt(keyring)
            await self._membership.observe()
            return await self._offload(self._repository.read)

    def _held(self) -> Keyring:
        if self._node.keyring is None:
            raise NoSecret("this server holds no keyring", next_step="generate the secret first, or restore a backup")
        return self._node.keyring

    async def backup(self, call: Call, passphrase: str | None, recipients: list[str], reminder: str | None) -> tuple[bytes, About]:
        """An age file of the whole keyring. It does not count before it has been verified."""
        self._may(call)
        keyring = self._held()
        if passphrase is not None and reminder is not None and passphrase in reminder:
            raise InvalidValue(
                "the reminder holds the passphrase", next_step="the reminder is readable by everyone: hint, do not tell"
            )
        self._audit.record(call, "backup secret", "", keyring.current.id.hex())
        content, identity = await backups.seal(keyring, passphrase, recipients)
        digest = backups.sha256(content)
        if identity is not None:
            self._trials[digest] = identity
            while len(self._trials) > TRIALS_KEPT:
                self._trials.popitem(last=False)
        return content, About(
            backups.FORMAT,
            keyring.environment,
            keyring.current.id.hex(),
            sorted(key.hex() for key in keyring.keys),
            instant_text(self._node.clock.now().utc),
            self._node.state.server,
            "passphrase" if passphrase is not None else "recipients",
            reminder,
            digest,
        )

    async def verify(self, call: Call, content: bytes, opener: Opener, place: str, *, record: bool) -> Verified:
        """Opens a backup that was read back and compares it by key id; `record` makes it count."""
        self._may(call)
        held = self._held()
        digest = backups.sha256(content)
        protection = "passphrase" if opener.passphrase is not None else "recipients"
        if opener == Opener() and digest in self._trials:
            opener = Opener(identity=self._trials[digest])
        self._audit.record(call, "verify backup", place, held.current.id.hex())
        keyring = await backups.open_backup(content, opener)
        if keyring.environment != held.environment:
            raise BackupOfAnotherEnvironment(f"the backup belongs to environment {keyring.environment}, this is {held.environment}")
        missing = sorted(key.hex() for key in held.keys.keys() - keyring.keys.keys())
        if missing:
            raise BackupTooOld(
                f"the backup of {keyring.current.id.hex()} lacks {len(missing)} of the keys of this server's keyring",
                next_step="make a new backup",
                conditions=[f"key id {key} is not in the backup" for key in missing],
            )
        if record:
            self._node.require_master()
            moment = self._node.clock.now().utc
            entry = BackupRecord(digest, held.current.id, moment, place, protection)
            await self._offload(
                self._repository.record_backup, self._node.state.server, self._node.state.epoch, entry, frozenset(keyring.keys)
            )
            await self._membership.observe()
        return Verified(keyring, digest)

    async def compare(self, call: Call, content: bytes, opener: Opener) -> Compared:
        """Opens a backup and says whether this database could be restored with it. Raises what an unopened one raises."""
        self._may(call)
        environment = await self._offload(self._repository.read)
        self._audit.record(call, "compare backup", "")
        keyring = await backups.open_backup(content, opener)
        digest = backups.sha256(content)
        reasons = [f"it is of environment {keyring.environment}, and this is {environment.id}"]
        if keyring.environment == environment.id:
            keyring = as_the_database_says(keyring, environment)
            reasons = _lacks(keyring, environment)
        recorded = environment.backup is not None and environment.backup.sha256 == digest
        return Compared(keyring, digest, recorded, reasons)

    async def restore(self, call: Call, content: bytes, opener: Opener, *, dry_run: bool) -> tuple[bool, Keyring]:
        """Installs the backup's keyring here, if the database needs just that; says whether anything changed.

        Nothing is changed by a refusal. Raises WrongPassphrase, BackupDamaged, BackupOfAnotherEnvironment, BackupTooOld.
        """
        self._may(call)
        if not self._node.may_become_master:
            raise RestoreRefused(
                "this server may not become master, so it keeps no keyring of its own",
                next_step="restore on the master or on a standby (server.may_become_master)",
            )
        environment = await self._offload(self._repository.read)
        self._audit.record(call, "restore secret", "dry run" if dry_run else "")
        keyring = await backups.open_backup(content, opener)
        if keyring.environment != environment.id:
            raise BackupOfAnotherEnvironment(
                f"the backup belongs to environment {keyring.environment}; this database is environment {environment.id}",
                next_step="look for the backup of this environment: FILE.about.json names its environment",
            )
        keyring = as_the_database_says(keyring, environment)
        if lacks := _lacks(keyring, environment):
            raise BackupTooOld(
                f"the backup was made on {keyring.current.created_at} or later, and lacks a key that the database needs",
                next_step="restore a newer backup",
                conditions=lacks,
            )
        held = self._node.keyring
        more = dict(keyring.keys)
        if held is not None and held.environment == environment.id:
            # A retired secret that this host holds and the backup lacks is not lost by restoring the backup.
            more = {**held.keys, **more}
        changed = held is None or held.current.id != keyring.current.id or held.keys.keys() != more.keys()
        if changed and not dry_run:
            retired = [key for name, key in more.items() if name != keyring.current.id]
            backed_up = environment.backup is not None
            await self._membership.sealing.adopt(
                Keyring(environment.id, environment.epoch, keyring.current, retired, backed_up=backed_up)
            )
            await self._membership.refresh()
        return changed, keyring

    async def distribute(self, call: Call, names: list[str] | None, timeout: float) -> list[Noticed]:
        """Tells servers to refresh and returns what each then holds; this server's own word included."""
        self._may(call)
        self._node.require_master()
        await self._membership.observe()
        enrolled = self._membership.enrolled
        unknown = sorted(set(names or ()) - enrolled.keys())
        if unknown:
            raise ServerNotFound(f"not enrolled: {', '.join(unknown)}", next_step="enrol them, or name only enrolled servers")
        self._audit.record(call, "distribute secret", ",".join(names or ["all"]), self._node.key_id or "")
        wanted = names or sorted(enrolled)
        return await self._membership.notices.ask(wanted, timeout)
