"""Becoming the master and ceasing to be: by a compare-and-set on the epoch in the database, and in no other way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ssod.core.states import CONFIRMATION_WINDOW, Deactivated, Mastership
from ssod.errors import ActivationRefused, DatabaseUnavailable, MastershipUnconfirmed, NotEnrolled, StaleEpoch
from ssod.service.authority import Authority
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call, Noticed
from ssod.service.secret import tell
from ssod.storage.records import Environment
from ssod.storage.repository import EnvironmentRepository

# All servers are told at once. The answer of an activation waits this long for theirs (seconds): a dead old master must
# not hold up a promotion, and those that are slow are told all the same.
PATIENCE = 1.0

# Between two looks of a new master at a database that does not let it begin yet (seconds).
RETRY = 0.15


class MastershipService:
    def __init__(
        self,
        node: Node,
        membership: Membership,
        repository: EnvironmentRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
        certificate_problem: Callable[[], str | None],
    ) -> None:
        self._node = node
        self._membership = membership
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._certificate_problem = certificate_problem
        self._one_at_a_time = asyncio.Lock()

    async def activate(self, call: Call, expected_epoch: int | None, *, dry_run: bool) -> tuple[bool, list[Noticed]]:
        """Makes this server the master and tells every other; (False, []) when it is that already.

        A refusal changes nothing and names every failed condition. Raises ActivationRefused, StaleEpoch.
        """
        self._authority.everywhere(call.caller, "manage master")
        async with self._one_at_a_time:
            node = self._node
            environment = await self._membership.observe()
            if environment is not None and node.mastership is Mastership.ACTIVE:
                return False, []
            failed = await self._failed_conditions(environment)
            if environment is not None and expected_epoch not in {None, environment.epoch}:
                failed.append(f"epoch {expected_epoch} was expected; the database is at epoch {environment.epoch}")
            if failed or environment is None:
                raise ActivationRefused(
                    f"{node.state.server} cannot become the master, and nothing was changed",
                    next_step="mend every condition, or choose another standby",
                    conditions=failed,
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
                await self._membership.adopt(node.keyring.at(epoch).with_backup(backed_up))
            await self._succeed(environment.master)
            # The earlier master has been told already, if it can be: nobody waits for a dead one.
            others = sorted(self._membership.enrolled.keys() - {environment.master})
            noticed = await tell(node, self._membership, others, PATIENCE)
            await self._membership.report()
            return True, noticed

    async def _succeed(self, earlier: str | None) -> None:
        """Begins to act: at once when the earlier master has stepped down, else when its confirmation is too old to act on."""
        if earlier is not None:
            await tell(self._node, self._membership, [earlier], 0.0)
        deadline = self._node.clock.monotonic() + CONFIRMATION_WINDOW + PATIENCE
        while True:
            environment = await self._membership.observe()
            if self._node.mastership is Mastership.ACTIVE:
                return
            if environment is not None and environment.master != self._node.state.server:
                raise StaleEpoch(self._node.state.epoch, environment.epoch, environment.master)
            left = deadline - self._node.clock.monotonic()
            if left <= 0:
                raise MastershipUnconfirmed(
                    f"the database names {self._node.state.server} as master, and it cannot act yet: {self._node.state.reason}",
                    next_step="it begins by itself as soon as it can; see `ssoctl status`",
                )
            await asyncio.sleep(min(RETRY, left))  # the earlier one may step down at any moment

    async def _failed_conditions(self, environment: Environment | None) -> list[str]:
        node = self._node
        failed = []
        if not node.may_become_master:
            failed.append("server.may_become_master is false in its configuration")
        problem = self._certificate_problem()
        if problem is not None:
            failed.append(problem)
        if environment is None:
            failed.append(f"the SSO database cannot be reached: {node.state.database_lost}")
            return failed
        if node.state.server not in self._membership.enrolled:
            failed.append(f"server {node.state.server} is not enrolled")
        try:
            if not await self._offload(self._repository.is_writable):
                failed.append("the SSO database is read-only")
        except DatabaseUnavailable as error:
            failed.append(error.detail)
        failed.extend(self._membership.unfit(environment))
        if node.keyring is not None:
            try:
                await self._membership.seal(node.keyring)
            except OSError as error:
                failed.append(f"the keyring cannot be sealed on this host's disk: {error.strerror or error}")
        return failed

    async def deactivate(self, call: Call, *, dry_run: bool) -> bool:
        """Ends this server's mastership and leaves the environment without a master; False when it is not the master."""
        self._authority.everywhere(call.caller, "manage master")
        async with self._one_at_a_time:
            node = self._node
            environment = await self._membership.observe()
            if environment is None:
                raise DatabaseUnavailable(
                    f"a mastership ends in the SSO database, which cannot be reached: {node.state.database_lost}",
                    next_step="bring it back; until then this master is unconfirmed and acts on nothing",
                )
            if environment.master != node.state.server:
                return False
            if dry_run:
                return True
            self._audit.record(call, "deactivate master", node.state.server)
            try:
                epoch = await self._offload(self._repository.deactivate, node.state.server, environment.epoch)
            except StaleEpoch:
                await self._membership.observe()
                raise
            self._membership.changed_mastership(Deactivated(epoch, node.clock.now()))
            await self._offload(self._repository.stepped_down, environment.epoch)
            await self._membership.report()
            return True

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
