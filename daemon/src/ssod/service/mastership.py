"""Becoming the master and ceasing to be: by a compare-and-set on the epoch in the database, and in no other way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ssod.core.states import CONFIRMATION_WINDOW, Deactivated, Mastership
from ssod.errors import ActivationRefused, AuditUnavailable, DatabaseUnavailable, MastershipUnconfirmed, NotEnrolled, StaleEpoch
from ssod.service.authority import Authority
from ssod.service.fitness import Fitness
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call, Noticed
from ssod.service.sealing import as_the_database_says
from ssod.storage.records import Environment
from ssod.storage.repository import EnvironmentRepository

# All servers are told at once. The answer of an activation waits this long for theirs (seconds): a dead old master must
# not hold up a promotion, and those that are slow are told all the same.
PATIENCE = 1.0

# Between two looks of a new master at a database that does not let it begin yet (seconds).
RETRY = 0.15

# A server whose mandate is gone has ceased to act already: what is left of its deactivation waits this long for the database.
LEAVE_SECONDS = 2.0

THROUGH_THE_CLUSTER = "move the role through the cluster: run promote_master.yml, or `crm_resource --move`"


class Left(NamedTuple):
    """A mastership that was ended. `epoch` is the database's, or what this server knows of it where it could not be asked."""

    changed: bool
    recorded: bool
    epoch: int


class MastershipService:
    def __init__(
        self,
        node: Node,
        membership: Membership,
        repository: EnvironmentRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
        fitness: Fitness,
        warn: Callable[[str], None],
    ) -> None:
        self._node = node
        self._membership = membership
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._fitness = fitness
        self._warn = warn
        self._one_at_a_time = asyncio.Lock()

    async def activate(self, call: Call, expected_epoch: int | None, *, dry_run: bool) -> tuple[bool, list[Noticed]]:
        """Makes this server the master and tells every other; (False, []) when it is that already.

        A refusal changes nothing and names every failed condition. Raises ActivationRefused, StaleEpoch.
        """
        self._authority.everywhere(call.caller, "manage master")
        async with self._one_at_a_time:
            node = self._node
            environment = await self._membership.observe_whole()
            if environment is not None and node.mastership is Mastership.ACTIVE:
                return False, []
            failed = await self._failed_conditions(environment)
            database = await self._database_conditions(environment)
            if environment is not None and expected_epoch not in {None, environment.epoch}:
                failed.append(f"epoch {expected_epoch} was expected; the database is at epoch {environment.epoch}")
            if failed:
                raise ActivationRefused(
                    f"{node.state.server} cannot become the master, and nothing was changed",
                    next_step="mend every condition, or choose another standby" if node.mandate.given() else THROUGH_THE_CLUSTER,
                    conditions=[*failed, *database],
                )
            if database or environment is None:  # this server is fit, and has to wait
                raise DatabaseUnavailable(
                    f"{node.state.server} cannot become the master yet, and nothing was changed",
                    next_step="bring the SSO database back, then activate again",
                    conditions=database,
                )
            if dry_run:
                return True, []
            self._audit.record(call, "activate master", node.state.server, node.key_id or "")
            epoch = await self._offload(
                self._repository.activate, node.state.server, environment.epoch, environment.current_key_id, node.state.epoch
            )
            # A crash from here on is mended at the next start: the database names this server, and its sealed copy opens.
            if node.keyring is not None:
                backed_up = environment.backup is not None
                await self._membership.sealing.alter(
                    lambda keyring: as_the_database_says(keyring, environment).at(epoch).with_backup(backed_up)
                )
            await self._succeed(environment.master)
            # Nobody waits for the earlier master, which may be dead.
            telling = {name: told for name, told in self._membership.notices.last.items() if name != environment.master}
            noticed = await self._membership.notices.answers(sorted({node.state.server, *telling}), telling, PATIENCE)
            await self._membership.report()
            return True, noticed

    async def _succeed(self, earlier: str | None) -> None:
        """Begins to act: at once when the earlier master has stepped down, else when its confirmation is too old to act on."""
        if earlier is not None:
            self._membership.notices.tell([earlier])
        deadline = self._node.clock.monotonic() + CONFIRMATION_WINDOW + PATIENCE
        while True:
            environment = await self._membership.observe()
            if self._node.mastership is Mastership.ACTIVE:
                return
            if environment is not None and environment.master != self._node.state.server:
                raise StaleEpoch(self._node.state.epoch, environment.epoch, environment.master)
            if not self._node.mandate.given():
                raise MastershipUnconfirmed(self._node.mandate.missing(), next_step=THROUGH_THE_CLUSTER)
            left = deadline - self._node.clock.monotonic()
            if left <= 0:
                raise MastershipUnconfirmed(
                    f"the database names {self._node.state.server} as master, and it cannot act yet: {self._node.state.reason}",
                    next_step="it begins by itself as soon as it can; see `ssoctl status`",
                )
            await asyncio.sleep(min(RETRY, left))  # the earlier one may step down at any moment

    async def _failed_conditions(self, environment: Environment | None) -> list[str]:
        node = self._node
        failed = [] if node.mandate.given() else [node.mandate.missing()]
        failed.extend(self._fitness.conditions(environment or self._membership.last_known))
        problem = await self._fitness.audit_problem()
        if problem is not None:
            failed.append(problem)
        if node.keyring is not None:
            try:
                await self._membership.sealing.seal(node.keyring)
            except OSError as error:
                failed.append(f"the keyring cannot be sealed on this host's disk: {error.strerror or error}")
        return failed

    async def _database_conditions(self, environment: Environment | None) -> list[str]:
        if environment is None:
            return [f"the SSO database cannot be reached: {self._node.state.database_lost}"]
        try:
            return [] if await self._offload(self._repository.is_writable) else ["the SSO database is read-only"]
        except DatabaseUnavailable as error:
            return [error.detail]

    async def deactivate(self, call: Call, *, dry_run: bool) -> Left:
        """Ends this server's mastership and leaves the environment without a master.

        To cease to act is no act on a secret: where its mandate is gone, neither a lost database nor a full audit log prevents it.
        """
        self._authority.everywhere(call.caller, "manage master")
        node = self._node
        stepped_down = node.mind_mandate() or node.owed is not None
        async with self._one_at_a_time:
            environment = await self._look_to_leave()
            if environment is None:
                if node.mandate.given():
                    raise DatabaseUnavailable(
                        f"a mastership ends in the SSO database, which cannot be reached: {node.state.database_lost}",
                        next_step="bring it back; until then this master is unconfirmed and acts on nothing",
                    )
                return Left(stepped_down, False, node.state.epoch)
            if environment.master != node.state.server:
                return Left(stepped_down, True, environment.epoch)
            if dry_run:
                return Left(True, True, environment.epoch)
            try:
                self._audit.record(call, "deactivate master", node.state.server)
            except AuditUnavailable as error:
                self._warn(f"a deactivation by {call.caller.name} was not audited: {error.detail}")
            acts = node.state.mastership is not Mastership.PASSIVE
            try:
                epoch = await self._offload(self._repository.deactivate, node.state.server, environment.epoch, acts=acts)
            except StaleEpoch:
                await self._membership.observe()
                if node.mandate.given():
                    raise
                return Left(stepped_down, True, node.state.epoch)
            except DatabaseUnavailable:
                if node.mandate.given():
                    raise
                return Left(stepped_down, False, node.state.epoch)
            self._membership.changed_mastership(Deactivated(epoch, node.clock.now()))
            await self._membership.settle()
            await self._membership.report()
            return Left(True, True, epoch)

    async def _look_to_leave(self) -> Environment | None:
        """The environment; None when the database cannot be reached, or not soon, by a server that has left already."""
        if self._node.mandate.given():
            return await self._membership.observe()
        look = asyncio.ensure_future(self._membership.observe())
        self._membership.keep([look])
        await asyncio.wait([look], timeout=LEAVE_SECONDS)
        return look.result() if look.done() else None

    async def keyring_for(self, call: Call, peer: str, etag: str | None, wait: float) -> tuple[int, str | None, bytes | None]:
        """What an enrolled server is answered: (epoch, etag, document). No document: the etag it named is still right.

        Waits up to `wait` seconds for a change. Raises NotMaster, MastershipUnconfirmed the moment that is so.
        """
        node = self._node
        deadline = node.clock.monotonic() + wait
        while True:
            node.require_master()
            if peer not in self._membership.enrolled:
                raise NotEnrolled(f"{peer} is not enrolled", next_step="enrol it with `ssoctl servers enrol`, or site.yml")
            keyring = node.keyring
            current = keyring.etag if keyring is not None else None
            left = deadline - node.clock.monotonic()
            if current != etag and keyring is not None:
                self._audit.record(call, "disclose keyring", peer, keyring.current.id.hex())
                return node.state.epoch, current, keyring.document()
            if left <= 0 or node.stopping:
                return node.state.epoch, current, None
            await node.wait_for_change(left)
