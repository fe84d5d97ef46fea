"""Whether this server could be the master now, and why not: what a promotion asks last, and the cluster asks all the time.

It asks nobody that may keep it waiting: of the database it tells what is known, with a short chance to know it better.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ssod.core.states import Mastership
from ssod.errors import SsodError
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit
from ssod.service.sealing import NO_KEYRING, unfit
from ssod.storage.records import Environment

COULD_BE_MASTER = 100
NOT_CONFIRMED = 10  # all is well but the database, without which nothing is confirmed
UNFIT = 0

# How long a question to the database or to the disk may take here (seconds).
LOOK_LIMIT = 0.8
# A look at the database is fresh for a master's interval and its patience (seconds).
FRESH = 3.0


class Verdict(NamedTuple):
    mastership: Mastership
    mandate: bool
    score: int
    reason: str


class Fitness:
    def __init__(
        self,
        node: Node,
        membership: Membership,
        audit: Audit,
        disk: Offload,
        certificate_problem: Callable[[], str | None],
        read_only: Callable[[], bool],
    ) -> None:
        self._node = node
        self._membership = membership
        self._audit = audit
        self._disk = disk
        self._certificate_problem = certificate_problem
        self._read_only = read_only
        self._probing: asyncio.Task[list[str]] | None = None

    async def verdict(self) -> Verdict:
        """What the cluster reads: a score, and the reason where it is not the best."""
        database, disk = await asyncio.gather(self._database_problem(), self._disk_problems())
        node, failed = self._node, self._unfit(disk)
        problems = [*failed, database] if database else failed
        score = UNFIT if failed else NOT_CONFIRMED if database else COULD_BE_MASTER
        return Verdict(node.mastership, node.mandate.given(), score, "; ".join(problems))

    async def unfit(self) -> list[str]:
        """Why this server could not be the master, whatever the state of the database; empty when it could."""
        return self._unfit(await self._disk_problems())

    def _unfit(self, disk: list[str]) -> list[str]:
        environment = self._membership.last_known
        failed = [*self.conditions(environment), *disk]
        node = self._node
        needed = environment.current_key_id.hex() if environment and environment.current_key_id else node.key_id
        if node.may_become_master and needed is not None and node.sealed_key_id != needed:
            why = f" ({node.seal_problem})" if node.seal_problem is not None else ""
            failed.append(f"the sealed copy on this host's disk is {'stale' if node.sealed_key_id else 'missing'}{why}")
        return failed

    def conditions(self, environment: Environment | None) -> list[str]:
        """What can be said without waiting, of the environment as it was last read."""
        node = self._node
        failed = [] if node.may_become_master else ["server.may_become_master is false in its configuration"]
        problem = self._certificate_problem()
        if problem is not None:
            failed.append(problem)
        if environment is not None:
            if node.state.server not in self._membership.enrolled:
                failed.append(f"server {node.state.server} is not enrolled")
            failed.extend(unfit(node.keyring, environment))
        elif node.keyring is None:
            failed.append(NO_KEYRING)
        return failed

    async def audit_problem(self) -> str | None:
        """Why no act could be audited; None when it could."""
        try:
            return await self._disk(self._audit.problem)
        except (SsodError, OSError) as error:
            return f"the audit log cannot be written: {getattr(error, 'strerror', None) or error}"

    async def _disk_problems(self) -> list[str]:
        # One question to the disk at a time: where it hangs, those who come meanwhile do not queue.
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe_disk())
        done, _ = await asyncio.wait({self._probing}, timeout=LOOK_LIMIT)
        return self._probing.result() if done else [f"this host's disk has not answered for {LOOK_LIMIT:g} s"]

    async def _probe_disk(self) -> list[str]:
        await self._membership.sealing.check()
        problem = await self.audit_problem()
        return [problem] if problem else []

    async def _database_problem(self) -> str | None:
        look = asyncio.ensure_future(self._membership.look())
        self._membership.keep([look])
        await asyncio.wait({look}, timeout=LOOK_LIMIT)
        node = self._node
        if node.state.database_lost is not None:
            return node.state.database_lost
        if not look.done() and node.clock.monotonic() - self._membership.looked > FRESH:
            return f"the SSO database has not answered for {LOOK_LIMIT:g} s"
        return "the SSO database is read-only" if self._read_only() else None
