"""What the status page shows besides the status: how each server stands and why, what is to be done, and the last audited acts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from ssod.core import refusals
from ssod.core.access import Caller
from ssod.core.audit import AuditLine
from ssod.core.silence import SILENT_SECONDS, is_silent
from ssod.core.states import Attachment
from ssod.errors import DatabaseUnavailable, Forbidden
from ssod.service.authority import Authority
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.ports import Audit
from ssod.storage.records import Environment, ServerRecord

Position = Literal["master", "standby", "server"]
# `lost`: this server does not reach it, whatever it said last. `silent`: it has said nothing for too long. `unknown`: not ever.
Stands = Literal["attached", "behind", "detached", "lost", "silent", "starting", "unknown"]
Level = Literal["well", "warning", "alarm"]

CLUSTER = "the cluster promotes another server by itself; if it does not, `pcs status` says why (docs/runbooks/cluster.md)"


class Standing(NamedTuple):
    """How a server stands, seen from this one. `since` is from when on, or when it last said so; `reason` says which."""

    name: str
    position: Position
    state: Stands
    reason: str
    since: datetime | None


class Remembered(NamedTuple):
    """What this server last read in a database that it does not reach."""

    at: datetime
    environment: Environment
    servers: list[ServerRecord]


class Page:
    def __init__(self, node: Node, membership: Membership, authority: Authority, audit: Audit) -> None:
        self._node = node
        self._membership = membership
        self._authority = authority
        self._audit = audit

    def remembered(self) -> Remembered | None:
        """None while the database is reached, or when it never was."""
        known = self._membership.last_known
        if self._node.environment is not None or known is None:
            return None
        return Remembered(self._read_at(), known, list(self._membership.enrolled.values()))

    def _read_at(self) -> datetime:
        """When the database was last read."""
        now = self._node.clock.now()
        return now.utc - timedelta(seconds=now.monotonic - self._membership.looked)

    def standings(self) -> list[Standing]:
        """Of each enrolled server, as this one knows them."""
        environment = self._membership.last_known
        if environment is None:
            return []
        return [self._standing(server, environment) for server in self._membership.enrolled.values()]

    def _standing(self, server: ServerRecord, environment: Environment) -> Standing:
        node, state = self._node, self._node.state
        position: Position = "master" if server.name == environment.master else "standby" if server.may_become_master else "server"
        if server.name == state.server:
            lapsed = node.attachment is not state.attachment
            reason = node.removed or ("the master has not been heard of for too long" if lapsed else state.reason)
            return Standing(server.name, position, node.attachment.value, reason, state.since.utc)
        if server.name == state.master and node.attached and state.last_seen is not None:
            return Standing(server.name, position, "attached", "this server is attached to it", state.last_seen.utc)
        if server.name == state.master and node.attachment is Attachment.DETACHED:
            return Standing(server.name, position, "lost", f"this server does not reach it: {state.reason}", state.since.utc)
        return Standing(server.name, position, *self._as_reported(server, environment), server.last_seen)

    def _as_reported(self, server: ServerRecord, environment: Environment) -> tuple[Stands, str]:
        if server.attached is None or server.last_seen is None:
            return "unknown", "it has never said how it is"
        said = "attached" if server.attached else "detached"
        # What has been said since is not known where the database could not be read since.
        if is_silent(server.last_seen, self._read_at()):
            return "silent", f"it has said nothing for more than {SILENT_SECONDS:g} s; then it was {said}"
        if not server.attached:
            return "detached", "it says that it does not reach the master; its own page says why"
        if server.epoch != environment.epoch:
            return "behind", f"it last said that it follows epoch {server.epoch}, and this is epoch {environment.epoch}"
        if environment.current_key_id is not None and server.key_id != environment.current_key_id.hex():
            return "behind", "it does not hold the current master secret"
        return "attached", "it says so itself"

    def next_step(self) -> str | None:
        """What to do, when this server does not encrypt or is not attached."""
        step = self._node.next_step
        return CLUSTER if step == refusals.PROMOTE and self._node.mandate.managed_by == "cluster" else step

    def candidates(self) -> list[str]:
        """The standbys that could be promoted now, if that is what to do: those first that hold the current secret."""
        environment = self._membership.last_known
        if self.next_step() != refusals.PROMOTE or environment is None:
            return []
        reported = [each for each in self.standings() if each.position == "standby" and each.state not in {"silent", "unknown"}]
        enrolled, current = self._membership.enrolled, environment.current_key_id
        return sorted(
            (each.name for each in reported),
            key=lambda name: current is not None and enrolled[name].sealed_key_id != current.hex(),
        )

    def concerns(self) -> list[str]:
        """What is not well, besides what the sentence of this server says."""
        node, known = self._node, self._membership.last_known
        found = [
            f"{each.name} is {each.state}: {each.reason}"
            for each in self.standings()
            if each.state not in {"attached", "lost"} and each.name != node.state.server
        ]
        if node.state.database_lost is not None:
            found.append(f"the SSO database cannot be reached: {node.state.database_lost}")
        if known is not None and known.current_key_id is not None and known.backup is None:
            found.append("the current master secret has no verified backup: run backup_secret.yml")
        if self._authority.disabled_at is not None:
            found.append(
                f"SSO is disabled everywhere since {self._authority.disabled_at:%Y-%m-%dT%H:%M:%SZ}: nobody is given a value"
            )
        return found

    def level(self, unfit: list[str]) -> Level:
        """The worst that is to be told; `unfit` is why this server could not become the master."""
        node = self._node
        if node.removed or node.keyring is None or not node.can_encrypt or not node.attached:
            return "alarm"
        old = refusals.age_warning(node.keyring, node.clock.now())
        return "warning" if self.concerns() or unfit or node.seal_problem or node.certificate_warning() or old else "well"

    def acts(self, caller: Caller) -> tuple[list[AuditLine] | None, str | None]:
        """The last lines of this server's audit log, newest first; or None, and why this caller is not shown them."""
        try:
            self._authority.everywhere(caller, "read audit")
        except (Forbidden, DatabaseUnavailable) as refusal:
            return None, refusal.detail
        return self._audit.newest[::-1], None
