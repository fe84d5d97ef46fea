"""Follows the database and the master: reads who is master, fetches the keyring, resumes or loses a mastership.

`observe` asks the database, `follow` asks the master; `refresh` does both at once. When they run is the runtime's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ssod import __version__
from ssod.core.audit import Head
from ssod.core.keyring import Keyring
from ssod.core.silence import REPORT_SECONDS
from ssod.core.states import (
    CONFIRMATION_WINDOW,
    Activated,
    DatabaseLost,
    Deactivated,
    EnvironmentRead,
    Instant,
    MasterAnswered,
    MasterLost,
    Mastership,
    ResumeMastership,
    TellOthers,
    must_wait,
)
from ssod.errors import DatabaseUnavailable
from ssod.service.node import Node
from ssod.service.notices import Notices
from ssod.service.offload import Offload
from ssod.service.ports import Audit, PeerFailed, PeerRefused, PeerRenewed, Peers
from ssod.service.sealing import Sealing, as_the_database_says, unfit
from ssod.service.under_way import UnderWay
from ssod.storage.records import Environment, Look, ServerRecord, ServerReport
from ssod.storage.repository import EnvironmentRepository, ServerRepository

# Status is asked by monitoring and by people, many at once: one look serves them all.
LOOK_PAUSE = 0.5


class Membership:
    def __init__(
        self,
        node: Node,
        environment: EnvironmentRepository,
        servers: ServerRepository,
        peers: Peers,
        sealing: Sealing,
        audit: Audit,
        offload: Offload,
        warn: Callable[[str], None],
        note_certificate: Callable[[], None],
    ) -> None:
        """`note_certificate` has the database know this server's certificate, if it is enrolled. It blocks."""
        self.node = node
        self._note_certificate = note_certificate
        self.peers = peers
        self.sealing = sealing
        self._environment = environment
        self._servers = servers
        self._audit = audit
        self._audit_compared = False
        self._audit_reported: Head | None = None
        self._offload = offload
        self._warn = warn
        self._reported: ServerReport | None = None
        self._reported_at = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshing_next: asyncio.Task[None] | None = None
        self._looking: dict[bool, asyncio.Task[Environment | None]] = {}
        self.looked = self._reports_read = float("-inf")
        self._named: tuple[int, float] | None = None
        self._mandated = node.mandate.given()
        self._background: set[asyncio.Task[Any]] = set()
        self._asked = 0
        self._taken = 0
        self._settling = asyncio.Lock()
        self._steps = UnderWay()
        self.notices = Notices(node, peers, lambda: self.enrolled, self.keep)
        self.last_known: Environment | None = None
        # As they were when `_roster` was new, or somebody last wanted to see their reports.
        self.enrolled: dict[str, ServerRecord] = {}
        self._roster: str | None = None

    async def look(self, *, reports: bool = False) -> None:
        """As `observe`, for those who only want to see: shared, and not repeated within LOOK_PAUSE."""
        looked = self._reports_read if reports else self.looked
        if self.node.environment is not None and self.node.clock.monotonic() - looked < LOOK_PAUSE:
            return
        looking = self._looking.get(reports)
        if looking is None or looking.done():
            looking = self._looking[reports] = asyncio.create_task(self.observe(reports=reports))
        await asyncio.shield(looking)

    async def observe(self, *, reports: bool = False) -> Environment | None:
        """Reads the database and takes the step; None when it cannot be reached. The servers are read when other ones are enrolled
        than before; with `reports` always, for what each last said of itself.
        """
        node = self.node
        self._asked += 1
        asked = self._asked
        # A confirmation counts from when it was asked for: the database's answer may have been long under way.
        began = node.clock.now()
        node.mind_mandate()
        roster = None if reports else self._roster
        try:
            if node.state.mastership is Mastership.PASSIVE:
                environment, servers = await self._offload(self._environment.look, roster)
            else:
                environment, servers = await self._confirm(node.state.epoch, roster)
        except DatabaseUnavailable as error:
            if asked > self._taken:
                self._taken = asked
                node.apply(DatabaseLost(error.detail, node.clock.now()))
                node.environment = self._roster = None  # it may come back as another one
            await self._mind_removal(enrolled=True)
            return None
        if node.keyring is None and environment.current_key_id is not None:
            await self.sealing.open(environment)
        # Looks overlap: what an earlier one saw must not undo what a later one, or this server's own change, has shown.
        if asked < self._taken:
            return node.environment
        self._taken = asked
        self.looked = node.clock.monotonic()
        with self._steps.one():
            await self._step(environment, servers, began)
        await self.settle()
        await self._note_backup(environment)
        self._compare_audit()
        await self.report()
        return environment

    async def observe_whole(self) -> Environment | None:
        """As `observe`, and waits for other looks' steps: one that has overtaken this one may be just resuming a mastership."""
        environment = await self.observe()
        if environment is not None:
            await self._steps.over()
        return environment

    async def _step(self, environment: Environment, servers: tuple[ServerRecord, ...] | None, began: Instant) -> None:
        node = self.node
        if servers is not None:
            enrolled = {server.name: server for server in servers}
            if self.enrolled.keys() - enrolled.keys():
                node.release_waiters()  # a server that was removed must not wait on here for the next keyring
            self.enrolled, self._roster, self._reports_read = enrolled, environment.roster, self.looked
        await self._mind_removal(enrolled=node.state.server in self.enrolled)
        node.environment = self.last_known = environment
        outside = node.apply(EnvironmentRead(environment.master, environment.epoch, began))
        if node.keyring is not None and node.keyring.environment != environment.id:
            self._warn("the keyring of this host belongs to another environment and is not used")
            node.adopt(None)
        if environment.epoch >= node.state.epoch:
            await self.sealing.alter(lambda keyring: as_the_database_says(keyring, environment))
        if isinstance(outside, ResumeMastership):
            await self._resume(environment)
        elif isinstance(outside, TellOthers):
            self.notices.tell_all()

    async def _mind_removal(self, *, enrolled: bool) -> None:
        if self.sealing.cache is not None:
            await self.sealing.cache.mind_removal(enrolled=enrolled)

    async def _confirm(self, epoch: int, roster: str | None = None) -> Look:
        """Writes down that this server is the master of `epoch`, if it is, and looks at the database."""
        node = self.node
        look = await self._offload(self._environment.confirm, node.state.server, epoch, roster)
        environment = look.environment
        if (environment.master, environment.epoch) == (node.state.server, epoch):
            node.confirmation = environment.confirmation
            if node.state.mastership is Mastership.PASSIVE:
                node.owed = (epoch, node.confirmation)  # unless this server acts on it next, nobody has to wait for it
        return look

    async def settle(self) -> None:
        """Tells the database that this server has stepped down, so that nobody waits for its confirmation to grow old."""
        async with self._settling:
            owed = self.node.owed
            if owed is None:
                return
            try:
                await self._offload(self._environment.stepped_down, *owed)
            except DatabaseUnavailable as error:
                self.node.apply(DatabaseLost(error.detail, self.node.clock.now()))
                return  # the next look that finds the database tells it
            if self.node.owed == owed:
                self.node.owed = None

    async def mind_mandate(self) -> None:
        """Steps down when the mandate is gone; looks at the database when it has come, as that may name this server."""
        node = self.node
        given = node.mandate.given()
        came, self._mandated = given and not self._mandated, given
        if node.mind_mandate() or (node.owed is not None and node.state.database_lost is None):
            await self.settle()
        elif came and node.state.master == node.state.server and node.state.mastership is Mastership.PASSIVE:
            await self.observe()

    async def hand_back(self) -> None:
        """At a stop in good order: nobody has to wait for this master's confirmation to grow old."""
        if self.node.mastership is Mastership.ACTIVE:
            self.node.owed = (self.node.state.epoch, self.node.confirmation)
        await self.settle()

    def changed_mastership(self, event: Activated | Deactivated) -> None:
        """Takes the step of a change that this server made itself; every look at the database begun before it is void."""
        self._asked += 1
        self._taken = self._asked
        if isinstance(self.node.apply(event), TellOthers):
            self.notices.tell_all()

    async def _resume(self, environment: Environment) -> None:
        """The database calls this server the master: act, if the keyring is the one the database needs."""
        if not self.node.mandate.given():
            self._do_not_resume(environment, self.node.mandate.missing())
            return
        failed = unfit(self.node.keyring, environment)
        if failed:
            self._warn(f"the database calls this server the master, and it cannot act as one: {'; '.join(failed)}")
            self._do_not_resume(environment, failed[0])
            return
        if self._named is None or self._named[0] != environment.epoch:
            self._named = (environment.epoch, self.node.clock.monotonic())
        # By the database's clock, or by this host's own since the database named it: a clock that was set back delays nobody.
        waited = self.node.clock.monotonic() - self._named[1]
        if must_wait(environment.earlier_master_confirmed) > 0 and waited <= CONFIRMATION_WINDOW:
            return  # the watcher looks again
        if self.node.keyring is not None and self.node.keyring.epoch != environment.epoch:
            await self.sealing.alter(lambda keyring: as_the_database_says(keyring, environment).at(environment.epoch))
        began, taken = self.node.clock.now(), self._taken
        # Never while an earlier confirmation is taken back: that of the mastership which begins here must stand.
        async with self._settling:
            confirmed = (await self._confirm(environment.epoch, self._roster)).environment
            # Meanwhile another look, or this server's own act, may have shown more than this look began with.
            named = (confirmed.master, confirmed.epoch) == (self.node.state.server, environment.epoch)
            unchanged = taken == self._taken and self.node.state.mastership is Mastership.PASSIVE
            if named and unchanged and self.node.mandate.given():
                self.node.owed = None
                self.changed_mastership(Activated(environment.epoch, began))

    def _do_not_resume(self, environment: Environment, reason: str) -> None:
        node = self.node
        node.apply(MasterLost(reason, node.clock.now()))
        if node.state.mastership is Mastership.PASSIVE and environment.confirmation is not None:
            # Of this server's own, before it was killed perhaps: its port is in this process's hands, so no other acts by that.
            node.owed = (environment.epoch, environment.confirmation)

    async def _note_backup(self, environment: Environment) -> None:
        """The master learns of a verified backup from the database, and the others from the master."""
        keyring = self.node.keyring
        if keyring is None or self.node.mastership is not Mastership.ACTIVE:
            return
        backed_up = environment.backup is not None and environment.backup.key_id == keyring.current.id
        if backed_up != keyring.backed_up:
            of = keyring.current.id
            await self.sealing.alter(lambda now: now.with_backup(backed_up) if now.current.id == of else now)

    def _compare_audit(self) -> None:
        """Once, before this server reports where its audit log ends: the log must hold what it held when it last did."""
        known = self.enrolled.get(self.node.state.server)
        if self._audit_compared or known is None:
            return
        self._audit_compared = True
        if known.audit_sequence is not None and known.audit_head is not None:
            missing = self._audit.expect(Head(known.audit_sequence, known.audit_head), "the SSO database")
            if missing is not None:
                self._warn(missing)

    async def report(self) -> None:
        """Tells the database how this server is, when that has changed or a minute has passed."""
        node = self.node
        report = ServerReport(node.attached, node.key_id, node.sealed_key_id, node.state.epoch, __version__)
        if report == self._reported and node.clock.monotonic() - self._reported_at < REPORT_SECONDS:
            return
        await self._report(report)

    async def report_audit(self) -> None:
        """Tells the database where the audit log ends, when it knows of an earlier line."""
        anchored = self._audit.anchored
        if self._audit_compared and anchored is not None and anchored != self._audit_reported:
            await self.report_again()

    async def report_again(self) -> None:
        self._reported = None
        await self.report()

    async def _report(self, report: ServerReport) -> None:
        anchored = self._audit.anchored if self._audit_compared else None
        # Where the log ends is told along with the rest, and is no reason of its own to tell anything: it changes with every act.
        whole = report._replace(audit_sequence=anchored.sequence, audit_head=anchored.chain) if anchored else report
        try:
            await self._offload(self._servers.report, self.node.state.server, whole, self.node.clock.now().utc)
            await self._offload(self._note_certificate)
            self._reported, self._audit_reported = report, anchored
            self._reported_at = self.node.clock.monotonic()
        except DatabaseUnavailable as error:
            self.node.apply(DatabaseLost(error.detail, self.node.clock.now()))

    def followed(self) -> ServerRecord | None:
        """The other server that is the master, when there is one and its address is known."""
        master = self.node.state.master
        if master is None or master == self.node.state.server:
            return None
        return self.enrolled.get(master)

    async def follow(self, master: ServerRecord, wait: float) -> bool:
        """Fetches the keyring from the master, waiting there up to `wait` seconds for a new one; says whether it answered."""
        node = self.node
        etag = node.keyring.etag if node.keyring else None
        try:
            fetched = await self.peers.fetch(master, etag, wait)
            problem = self._refuse(fetched.keyring)
        except PeerRenewed:
            # The answer that was cut off was due within the interval: another whole one would be more than being attached allows.
            return await self.follow(master, 0.0) if wait else node.attached
        except PeerFailed as error:
            problem = str(error)
            await self._mind_removal(enrolled=not isinstance(error, PeerRefused))
        if node.state.master != master.name:
            return False  # while it waited, somebody else became the master; this answer means nothing any more
        if problem is not None:
            node.apply(MasterLost(problem, node.clock.now()))
            await self.report()
            return False
        if fetched.keyring is not None and fetched.epoch >= node.state.epoch:
            await self._take(fetched.keyring)
        node.apply(MasterAnswered(master.name, fetched.epoch, node.clock.now()))
        if self.sealing.cache is not None:
            await self.sealing.cache.confirm()
        await self.report()
        return node.attached

    async def _take(self, keyring: Keyring) -> None:
        """Uses the master's keyring. Where the two name another secret current, the database is asked anew: it decides."""
        known = self.node.environment
        if known is not None and known.current_key_id not in {None, keyring.current.id}:
            known = await self.observe()
        fitting = as_the_database_says(keyring, known) if known is not None else keyring
        held = self.node.keyring
        if held is None or held.etag != fitting.etag:
            await self.sealing.adopt(fitting)
        else:
            await asyncio.sleep(LOOK_PAUSE)  # the master has not heard yet: it would answer the next question the same, and at once

    def _refuse(self, keyring: Keyring | None) -> str | None:
        """A keyring that does not fit the database is refused before it is used."""
        environment = self.node.environment
        if keyring is None or environment is None:
            return None
        if keyring.environment != environment.id:
            return "its keyring belongs to another environment"
        failed = keyring.failed_canaries(environment.canaries)
        return f"its keyring is refused: {'; '.join(failed)}" if failed else None

    def keep(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Lets tasks go on that nobody waits for; without a reference to them they could vanish."""
        for task in tasks:
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def noticed(self) -> None:
        """Told that something has changed: asks at once, whatever question to a master that may be dead is still under way."""
        await self._refresh()

    async def refresh(self, *, join: bool = False) -> None:
        """Asks database and master, now. Shared: whoever comes while that is under way waits for one more, begun after it;
        or, with `join`, for the one that is under way.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
            await asyncio.shield(self._refreshing)
        elif join:
            await asyncio.shield(self._refreshing)
        else:
            if self._refreshing_next is None:
                self._refreshing_next = asyncio.create_task(self._refresh_after(self._refreshing))
            await asyncio.shield(self._refreshing_next)

    async def _refresh_after(self, running: asyncio.Task[None]) -> None:
        await asyncio.wait({running})
        self._refreshing, self._refreshing_next = self._refreshing_next, None
        await self._refresh()

    async def _refresh(self) -> None:
        await self.observe()
        master = self.followed()
        if master is not None:
            await self.follow(master, 0)
