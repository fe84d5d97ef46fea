"""Rotation: another master secret becomes the current one, without that anybody waits for it or misses a value meanwhile.

The steps are requests of their own, and what has been done is in the database alone: whoever goes on after a crash, on this master
or on another, begins with the step that is next.

1. `prepare`: a next secret is generated, and is in every keyring before any row is sealed under it.
2. A verified backup holds it (service/secret.py).
3. `switch`: every server that is to hold it says that it does; then the database calls it current, by compare-and-set.
4. `renew`, a batch at a time: what is stored under a retired secret is brought under the current one.
5. `prune`, long after: a retired secret that nothing needs any more leaves the keyrings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ssod.core.envelope import Place
from ssod.core.keyring import Keyring, Random, generate
from ssod.errors import DatabaseUnavailable, NoSecret, Rejected, RotationRefused, ServerNotFound
from ssod.service.authority import Authority
from ssod.service.configuration import place_of as config_place
from ssod.service.mappings import place_of as mapping_place
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call, Noticed
from ssod.service.sealing import as_the_database_says
from ssod.service.secret import instant_text
from ssod.service.tally import Tally
from ssod.storage.records import Environment, KeyRecord, NextKey
from ssod.storage.repository import EnvironmentRepository
from ssod.storage.rotation import RotationRepository, ValuePlace

# How long a server may take to say which secret it uses (seconds).
ASK_SECONDS = 10.0

# Values are re-encrypted in the event loop's thread: everybody else has a turn after so many.
TURN = 10


class Progress(NamedTuple):
    """`counts` says how many values are sealed under each key of the database."""

    environment: Environment
    counts: dict[bytes, int]

    @property
    def left(self) -> int:
        """How many values are under a retired key."""
        return sum(count for key, count in self.counts.items() if key != self.environment.current_key_id)


class Prepared(NamedTuple):
    changed: bool
    current: bytes
    coming: bytes


class Switched(NamedTuple):
    """`servers` is what each of them held before the switch; nobody is asked where there is nothing to do."""

    changed: bool
    current: bytes
    servers: list[Noticed]


class Batch(NamedTuple):
    """`renewed` values are under the current key now. `last` is where the next batch begins after; None when all were gone through.
    `damaged` did not open, and were left as they were.
    """

    renewed: int
    last: ValuePlace | None
    damaged: list[ValuePlace]


class Kept(NamedTuple):
    """A retired secret that stays in the keyrings, and why."""

    key_id: bytes
    reason: str


class Pruned(NamedTuple):
    pruned: list[bytes]
    kept: list[Kept]


class Rotation:
    def __init__(
        self,
        node: Node,
        membership: Membership,
        environment: EnvironmentRepository,
        repository: RotationRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
        random: Random,
        tally: Tally,
    ) -> None:
        self._node = node
        self._membership = membership
        self._environment = environment
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._random = random
        self._tally = tally
        self._one_at_a_time = asyncio.Lock()

    def _may(self, call: Call) -> None:
        self._authority.everywhere(call.caller, "manage secret")

    async def progress(self, call: Call) -> Progress:
        self._may(call)
        before = self._tally.renewed
        environment = await self._offload(self._environment.read)
        progress = Progress(environment, await self._offload(self._repository.counts))
        if environment.current_key_id is not None:
            self._tally.know(environment.current_key_id, progress.left, before)
        return progress

    async def _begin(self, call: Call) -> tuple[Environment, Keyring, bytes]:
        """What a master acts on: the environment as it is now, the keyring, and the id of the current secret."""
        self._may(call)
        self._node.require_master()
        await self._membership.observe()
        self._node.require_master()
        environment, keyring = self._node.environment, self._node.keyring
        if environment is None:
            raise DatabaseUnavailable(
                f"a rotation is written down in the SSO database, which cannot be reached: {self._node.state.database_lost}",
                next_step="bring it back, then run this again; it goes on where it was",
            )
        if keyring is None or environment.current_key_id is None:
            raise NoSecret("there is no master secret to rotate", next_step="generate it: run site.yml")
        return environment, keyring, environment.current_key_id

    async def prepare(self, call: Call) -> Prepared:
        """Sees that there is a next secret, which this master holds; says whether it made one. Raises NotMaster, NoSecret."""
        async with self._one_at_a_time:
            environment, keyring, current = await self._begin(call)
            if environment.next_key is not None and environment.next_key.key_id in keyring.keys:
                return Prepared(False, current, environment.next_key.key_id)
            # One that another master made, and did not come to hand out, is lost with it. Nothing is sealed under it.
            now = self._node.clock.now().utc
            secret = generate(self._random, instant_text(now))
            self._audit.record(call, "prepare rotation", "", secret.id.hex())
            # Sealed here before the database knows of it, and handed out after.
            try:
                await self._membership.sealing.seal(keyring.with_secret(secret))
            except OSError as error:
                raise RotationRefused(
                    f"the next secret cannot be sealed on this master's disk, and nothing was changed: {error.strerror or error}",
                    next_step="make room there, then run this again",
                ) from None
            key = KeyRecord(secret.id, secret.canary(self._random), now)
            await self._offload(self._repository.prepare, self._node.state.server, self._node.state.epoch, key)
            await self._membership.sealing.alter(lambda held: held.with_secret(secret))
            await self._membership.observe()
            return Prepared(True, current, secret.id)

    async def switch(self, call: Call, without: Sequence[str], timeout: float, *, dry_run: bool) -> Switched:
        """Makes the next secret the current one.

        A refusal changes nothing, and names every server that does not hold the next secret. Nothing to do where there is none.
        Raises NotMaster, RotationRefused, ServerNotFound, StaleEpoch.
        """
        async with self._one_at_a_time:
            environment, keyring, current = await self._begin(call)
            enrolled = self._membership.enrolled
            unknown = sorted(set(without) - enrolled.keys())
            if unknown:
                raise ServerNotFound(f"not enrolled: {', '.join(unknown)}", next_step="leave out only servers that are enrolled")
            coming = environment.next_key
            if coming is None:
                return Switched(False, current, [])
            wanted = sorted(enrolled.keys() - set(without))
            noticed = await self._membership.notices.ask(wanted, timeout)
            failed = [*self._not_ready(coming, keyring), *self._without_next(coming.key_id.hex(), noticed)]
            if failed:
                raise RotationRefused(
                    f"the next secret {coming.key_id.hex()} does not become current yet, and nothing was changed: {failed[0]}",
                    next_step="mend every condition and run it again; a server can be left behind knowingly, with --without",
                    conditions=failed,
                )
            if dry_run:
                return Switched(True, current, noticed)
            self._audit.record(call, "rotate secret", ",".join(without), coming.key_id.hex())
            await self._offload(
                self._repository.switch,
                self._node.state.server,
                self._node.state.epoch,
                current,
                coming.key_id,
                self._node.clock.now().utc,
            )
            # The others have been told by the database, and are told again by their question to this master. Whoever goes on with
            # the next step finds the secret in use here: a look that is under way might take it up a moment later.
            switched = await self._offload(self._environment.read)
            await self._membership.sealing.alter(lambda held: as_the_database_says(held, switched))
            await self._membership.observe()
            return Switched(True, coming.key_id, noticed)

    @staticmethod
    def _not_ready(coming: NextKey, keyring: Keyring) -> list[str]:
        secret = keyring.keys.get(coming.key_id)
        if secret is None or not secret.opens_canary(coming.canary):
            return ["this master does not hold it: another master made it. Prepare the rotation once more"]
        return [] if coming.backup is not None else ["no verified backup holds it"]

    def _without_next(self, key_id: str, noticed: Iterable[Noticed]) -> list[str]:
        """Every server that could not open what will be sealed under the next secret, and why."""
        failed = []
        for each in noticed:
            if not each.reachable:
                failed.append(f"{each.name} cannot be asked: {each.detail}")
            elif key_id not in each.held_key_ids:
                failed.append(f"{each.name} does not hold it{f': {each.detail}' if each.detail else ''}")
            elif self._membership.enrolled[each.name].may_become_master and each.sealed_key_id is None:
                failed.append(f"{each.name} may become master, and has no whole sealed copy of its keyring")
        return failed

    async def _behind(self, current: bytes) -> str | None:
        """The first server that may still use another secret than the current one; None when there is none."""
        for each in await self._membership.notices.ask(sorted(self._membership.enrolled), ASK_SECONDS):
            if not each.reachable:
                return f"{each.name} cannot be asked whether it uses the current one: {each.detail}; bring it back, or remove it"
            if each.key_id != current.hex():
                return f"{each.name} uses {each.key_id or 'no secret'} still: see `ssoctl status` there"
        return None

    async def renew(self, call: Call, after: ValuePlace | None, limit: int) -> Batch:
        """Brings one batch of values under the current secret. Raises NotMaster, StaleEpoch, VersionConflict."""
        self._may(call)
        self._node.require_master()
        keyring = self._node.keyring
        if keyring is None:
            raise NoSecret("this master holds no keyring", next_step="see `ssoctl status`")
        self._audit.record(call, "re-encrypt values", f"up to {limit}", keyring.current.id.hex())
        values = await self._offload(self._repository.under_others, keyring.current.id, after, limit)
        renewed, damaged = [], []
        for number, value in enumerate(values):
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)  # a turn for the others
            place = place_of(value.place)
            try:
                renewed.append((value, keyring.seal(place, keyring.open(place, value.envelope), self._random)))
            except Rejected:
                damaged.append(value.place)
                self._audit.record(call, "re-encrypt values", "/".join(value.place[1:]), outcome="ciphertext-rejected")
        count = await self._offload(
            self._repository.replace, self._node.state.server, self._node.state.epoch, keyring.current.id, renewed
        )
        self._tally.batch(count, len(damaged), first=after is None)
        return Batch(count, values[-1].place if len(values) == limit else None, damaged)

    async def prune(self, call: Call, days: int, count: int, *, dry_run: bool) -> Pruned:
        """Takes retired secrets out of the keyrings: those which no value is under, that have been retired for so many days, are
        not among the `count` that were retired last, and that no server may still use. Raises NotMaster, StaleEpoch.
        """
        async with self._one_at_a_time:
            environment, keyring, current = await self._begin(call)
            counts = await self._offload(self._repository.counts)
            pruned, kept = _sorted_out(environment, keyring, counts, self._node.clock.now().utc - timedelta(days=days), count)
            behind = await self._behind(current) if pruned else None
            if behind is not None:
                # What it encrypts, or keeps a copy of, may be under one of these.
                pruned, kept = [], [*(Kept(key, behind) for key in pruned), *kept]
            if pruned and not dry_run:
                for key_id in pruned:
                    self._audit.record(call, "prune secret", "", key_id.hex())
                await self._offload(self._repository.prune, self._node.state.server, self._node.state.epoch, pruned)
                await self._membership.sealing.alter(lambda held: held.without(pruned))
                await self._membership.observe()
            return Pruned(pruned, kept)


def place_of(value: ValuePlace) -> Place:
    place = config_place if value.kind == "config" else mapping_place
    return place(value.application, value.owner, value.field)


def _sorted_out(
    environment: Environment, keyring: Keyring, counts: dict[bytes, int], before: datetime, count: int
) -> tuple[list[bytes], list[Kept]]:
    """The keys that may go, and those that stay, with the reason. One that the database does not know is as old as it is."""
    staying = {environment.current_key_id, environment.next_key.key_id if environment.next_key else None}
    retired = {key.key_id: key.retired_at or key.created_at for key in environment.keys}
    held = {key.id: datetime.fromisoformat(key.created_at) for key in keyring.keys.values()}
    since = {key: moment for key, moment in {**held, **retired}.items() if key not in staying}
    newest = sorted(since, key=lambda key: since[key], reverse=True)
    pruned, kept = [], []
    for number, key in enumerate(newest):
        if counts.get(key):
            kept.append(Kept(key, f"{counts[key]} values are sealed under it: re-encrypt them first"))
        elif number < count:
            kept.append(Kept(key, f"it is one of the {count} that were retired last"))
        elif since[key] > before:
            kept.append(Kept(key, f"it is retired since {instant_text(since[key])} only"))
        else:
            pruned.append(key)
    return pruned, kept
