"""The wiring place and the process: everything is put together here, started, reloaded and stopped."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from ssod import __version__
from ssod.config import AuditConfig, Config, MasterConfig, load
from ssod.core.refusals import removed
from ssod.core.states import Announce, State
from ssod.errors import SsodError
from ssod.runtime import journal
from ssod.runtime.audit import Copy, FileAudit, no_copy
from ssod.runtime.clock import SystemClock
from ssod.runtime.hook import Hook
from ssod.runtime.journald import JournalCopy
from ssod.runtime.listener import Listener
from ssod.runtime.loops import ANCHOR_LIMIT, Anchors, CacheKeeper, Follower, SealKeeper, TallyKeeper, Warden, Watcher, forever
from ssod.runtime.mandate import ClusterMandate, OperatorMandate
from ssod.runtime.metrics import Metrics
from ssod.runtime.notify import SystemdNotifier
from ssod.runtime.schema_check import SchemaCheck
from ssod.runtime.use_cases import Held, use_cases
from ssod.seal.provider import sealing_keys
from ssod.service.authority import Authority
from ssod.service.denials import Denials
from ssod.service.feed import Feed
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload, database_silent, disk_silent
from ssod.service.sealing import Sealing, sealing_of
from ssod.service.tally import Tally
from ssod.storage.certificates import CertificateRepository
from ssod.storage.engine import connect
from ssod.storage.records import Certificate
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository
from ssod.storage.rotation import RotationRepository
from ssod.storage.standing import StandingRepository
from ssod.transport import tls
from ssod.transport.app import App
from ssod.transport.callers import Callers
from ssod.transport.credentials import CredentialsSocket
from ssod.transport.faces import Faces
from ssod.transport.page_face import LocalApp, PageFace
from ssod.transport.peers import HttpPeers

STOP_GRACE = 10.0
# How long a start waits for its first look at database and master before it says that it is ready (seconds).
FIRST_LOOK = 10.0


def mandate_of(config: MasterConfig) -> OperatorMandate | ClusterMandate:
    return ClusterMandate(config.mandate_file) if config.managed_by == "cluster" else OperatorMandate()


def audit_copy(config: AuditConfig, clock: SystemClock) -> Copy:
    if config.journal == "nothing":
        return no_copy
    return JournalCopy(everything=config.journal == "everything", monotonic=clock.monotonic)


class Daemon:
    """One ssod. Built from a configuration; `run` lives until SIGTERM."""

    def __init__(self, config: Config, config_path: str) -> None:
        self._config = config
        self._config_path = config_path
        self._notifier = SystemdNotifier()
        clock = SystemClock()
        self._database = Database(connect(config.database.url, config.database.password_file))
        self._offload = Offload(late=self._database_silent)
        # Looks at the database have threads of their own: it is they that find out when the others wait in vain.
        self._looks = Offload(6, late=self._database_silent)
        self._disk = Offload(1, late=disk_silent)
        # A sync to a busy disk takes its time, and must not be taken for a disk that hangs.
        self._syncing = Offload(1, ANCHOR_LIMIT, late=disk_silent)
        self._audit = FileAudit(
            config.audit.file, Path(config.server.state_directory) / "audit.anchor", audit_copy(config.audit, clock)
        )
        for finding in self._audit.findings:
            journal.warning(finding)
        state = State(config.server.name, config.master.refresh_interval, since=clock.now())
        self._node = Node(
            state,
            clock,
            self._announce,
            mandate_of(config.master),
            may_become_master=config.server.may_become_master,
            encrypt_while_detached=config.master.encrypt_while_detached == "allow",
        )
        environment, servers = EnvironmentRepository(self._database), ServerRepository(self._database)
        self._certificates = CertificateRepository(self._database)
        self._identify(tls.identity(config.tls))
        standing = StandingRepository(self._database)
        self._authority = Authority(standing, self._offload, config.grants)
        self._peers = HttpPeers(self._client_context, self._authority.refuse_revoked)
        self._membership = Membership(
            self._node,
            environment,
            servers,
            self._peers,
            self._sealing(),
            self._audit,
            self._looks,
            journal.warning,
            self._note_certificate,
        )
        self._feed = Feed(lambda: os.urandom(8).hex())
        self._listener = Listener(self._database, self._feed, self._authority, Offload(1), journal.info)
        self._tally = Tally(self._node, RotationRepository(self._database), self._offload)
        metrics = Metrics(self._node, self._expires_timestamp, self._tally)
        held = Held(
            self._membership,
            self._database,
            self._authority,
            self._audit,
            self._feed,
            metrics,
            self._tally,
            self._offload,
            self._disk,
            lambda: self._identity,
            self._certificate_problem,
        )
        routes, page, units = use_cases(held)
        self._hook = Hook(
            config.events, config.tls, config.server.address, self._membership, self._database, self._looks, metrics.count_event
        )
        prefix = os.urandom(4).hex()
        denials = Denials(self._audit, clock)
        around = (Callers(clock, self._authority.refuse_revoked), prefix, denials, metrics.observe, self._defect)
        self._faces, self._page_face = Faces(App(routes, *around)), PageFace(LocalApp(page, *around))
        self._credentials = CredentialsSocket(units.give, prefix, denials, journal.warning, self._defect)
        self._anchors = Anchors(self._membership, self._audit.anchor, self._syncing, journal.warning)
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()

    def _loops(self) -> list[Callable[[], Awaitable[None]]]:
        """What is repeated for as long as the process lives."""
        jitter = random.SystemRandom()
        follower = Follower(self._membership, lambda: jitter.uniform(0.9, 1.1))
        watcher = Watcher(self._membership, self._authority, follower, self._database, self._listener)
        warden = Warden(self._membership)
        cache = self._membership.sealing.cache
        loops: list[Callable[[], Awaitable[None]]] = [CacheKeeper(cache).once] if cache is not None else []
        loops += [watcher.once, follower.once, warden.once, self._anchors.once, self._listener.once, self._listener.keep_authority]
        return [*loops, SealKeeper(self._membership).once, TallyKeeper(self._tally).once, *self._hook.loops()]

    def _database_silent(self, seconds: float) -> SsodError | OSError:
        # Its threads would wait for as long as it is silent, and be missing when there is a database again.
        self._database.cut()
        return database_silent(seconds)

    def _expires_timestamp(self) -> float:
        return self._identity.expires_at.timestamp()

    def _identify(self, identity: tls.Identity) -> None:
        self._identity = identity
        self._node.certificate_expires = identity.expires_at
        self._is_noted = False

    def _note_certificate(self) -> None:
        """The database is to know what to revoke, should this server be removed. It blocks."""
        mine = self._identity
        if not self._is_noted:
            shown = Certificate(self._config.server.name, mine.key, mine.serial, mine.expires_at)
            self._is_noted = self._certificates.note(shown, self._node.clock.now().utc) and mine is self._identity

    def _refuse_revoked(self) -> None:
        """Other certificates are refused than before; this server's own may be one of them."""
        own = self._authority.revoked.get(self._identity.key)
        self._node.removed = removed(own.revoked_at) if own is not None else None
        self._faces.cut(self._authority.revoked)
        if own is not None and self._membership.sealing.cache is not None:
            self._membership.keep([asyncio.ensure_future(self._membership.sealing.cache.forget())])

    def _announce(self, announce: Announce) -> None:
        (journal.warning if announce.warning else journal.info)(announce.sentence)

    def _defect(self, tracking_id: str, error: BaseException) -> None:
        journal.error("a request ended in a defect", tracking_id=tracking_id, cause=error)

    def _client_context(self) -> ssl.SSLContext:
        return tls.client_context(self._config.tls)

    def _certificate_problem(self) -> str | None:
        return tls.certificate_problem(self._config.tls, self._config.server.name)

    def _sealing(self) -> Sealing:
        server, sealing, given = self._config.server, self._config.sealing, os.environ.get("CREDENTIALS_DIRECTORY")
        directory, token = Path(server.state_directory), Path(sealing.token)
        return sealing_of(
            self._node,
            self._disk,
            journal.warning,
            directory / "keyring.sealed",
            lambda: sealing_keys(sealing.provider, sealing.credential, token, directory, given, os.urandom),
            sealing.cache_max_age,
        )

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stopping.set)
        loop.add_signal_handler(signal.SIGINT, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: keep(asyncio.create_task(self._reload())))
        tasks: set[asyncio.Task[Any]] = set()

        def keep(task: asyncio.Task[Any]) -> None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        self._listener.attach()
        self._authority.revocations_changed = self._refuse_revoked
        schema = SchemaCheck(self._database, self._offload)
        await schema.ask()
        await self._membership.sealing.open()
        await self._faces.start(self._config.server.socket, self._config.server.listen, tls.server_context(self._config.tls))
        await self._serve_page()
        self._credentials.start(self._config.server.credentials_socket)
        keep(asyncio.create_task(self._tell_systemd()))
        try:
            async with asyncio.timeout(FIRST_LOOK):
                await self._membership.refresh()
                with suppress(SsodError):
                    await self._authority.reload()
        except TimeoutError:
            journal.warning("started without having reached database and master", after_seconds=FIRST_LOOK)
        self._notifier.ready(self._node.sentence())
        journal.info("started", version=__version__, server=self._config.server.name, health=self._node.sentence())
        for work in self._loops():
            keep(asyncio.create_task(forever(work, self._loop_failed, 1.0)))
        keep(asyncio.create_task(schema.mind(self._stopping.set)))
        await self._stopping.wait()
        journal.info("stopping")
        self._notifier.stopping()
        self._node.stop()
        self._feed.close()
        for task in list(tasks):
            task.cancel()
        self._page_face.stop()
        await asyncio.gather(self._credentials.stop(), self._faces.stop(STOP_GRACE))
        if self._membership.sealing.cache is not None:
            await self._membership.sealing.cache.note_use()
        await self._membership.hand_back()
        await self._anchors.keep()
        await self._peers.close()
        self._offload.close()
        self._looks.close()
        self._listener.close()
        self._disk.close()
        self._syncing.close()
        self._database.dispose()
        self._audit.close()
        if schema.refused is not None:
            raise schema.refused

    async def _serve_page(self) -> None:
        """On localhost, where that is configured. Programs need their secrets also when nobody can look at the page."""
        address = self._config.page.listen
        try:
            if address:
                await self._page_face.start(address)
        except OSError as error:
            journal.warning(f"the status page is not served at {address}: {error.strerror}")

    def _loop_failed(self, error: BaseException) -> None:
        journal.error("a loop failed and goes on", cause=error)

    async def _tell_systemd(self) -> None:
        """The watchdog's sign of life comes from the event loop itself: one that is stuck gives none."""
        interval = (self._notifier.watchdog_seconds or 30.0) / 3
        said = ""
        while True:
            self._notifier.alive()
            sentence = self._node.sentence()
            if sentence != said:
                self._notifier.status(sentence)
                said = sentence
            await asyncio.sleep(interval)  # systemd's watchdog wants a word this often

    async def _reload(self) -> None:
        """SIGHUP: certificates, who may do what, and the audit file. A mistake leaves everything as it was."""
        async with self._reloading:
            self._notifier.reloading()
            try:
                config = load(self._config_path)
                context = tls.server_context(config.tls)
                tls.client_context(config.tls)
                identity = tls.identity(config.tls)
                self._audit.reopen()
            except (SsodError, OSError, ValueError) as error:
                reasons = getattr(error, "conditions", ()) or (str(error),)
                journal.error("the reload is refused and nothing was changed", reasons=list(reasons))
                self._notifier.ready(self._node.sentence())
                return
            needing = ("server", "database", "sealing", "audit", "events", "page")
            fixed = [part for part in needing if getattr(config, part) != getattr(self._config, part)]
            if fixed:
                journal.warning("these parts of the configuration need a restart", parts=fixed)
            self._config = config
            self._identify(identity)
            self._refuse_revoked()
            self._authority.configure(config.grants)
            self._node.encrypt_while_detached = config.master.encrypt_while_detached == "allow"
            self._node.mandate = mandate_of(config.master)
            await self._peers.renew()
            await self._faces.reload(context)
            await self._membership.report_again()
            journal.info("reloaded")
            self._notifier.ready(self._node.sentence())


def main() -> None:
    parser = argparse.ArgumentParser(prog="ssod", description="Holdfast's SSO server")
    parser.add_argument("--config", default="/etc/ssod/ssod.toml")
    parser.add_argument("--version", action="version", version=__version__)
    arguments = parser.parse_args()
    journal.quiet_libraries()
    os.umask(0o077)
    try:
        config = load(arguments.config)

        async def live() -> None:
            await Daemon(config, arguments.config).run()

        # What was imported stays. A full collection held every request up for 50 ms, and does for 13 without looking through it.
        gc.freeze()
        uvloop.run(live())
        sys.stderr.flush()
        # All is said and done. A thread that waits for a frozen database would hold the process up, with its faces closed.
        os._exit(0)
    except (SsodError, OSError) as error:
        conditions = getattr(error, "conditions", ())
        journal.error(str(error), next=getattr(error, "next_step", None), conditions=list(conditions))
        sys.exit(2)


if __name__ == "__main__":
    main()
