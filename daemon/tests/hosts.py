"""Servers of one environment in one event loop: everything of ssod but its sockets, its clock and its chance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keys import counting
from sqlalchemy import Connection, Engine

from ssod.core.access import Caller, Grants
from ssod.core.audit import AuditLine, Head
from ssod.core.keyring import Keyring
from ssod.core.secretbytes import SecretBytes
from ssod.core.states import Announce, Instant, State
from ssod.errors import AuditUnavailable, DatabaseUnavailable, NotEnrolled, SsodError
from ssod.seal.copy import SealedCopy
from ssod.seal.keys import CREDENTIAL, KeyInMemory
from ssod.service.applications import Applications
from ssod.service.authority import Authority
from ssod.service.configuration import Configurations
from ssod.service.credentials import Credentials
from ssod.service.encryption import Encryption
from ssod.service.feed import Feed
from ssod.service.fitness import Fitness
from ssod.service.mappings import Mappings
from ssod.service.mastership import MastershipService
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Call, Fetched, Noticed, PeerFailed, PeerRefused
from ssod.service.roles import Roles
from ssod.service.rotation import Rotation
from ssod.service.sealed_cache import SealedCache
from ssod.service.sealing import Sealing
from ssod.service.secret import Secret
from ssod.service.sso import Sso
from ssod.service.tally import Tally
from ssod.service.tickets import Tickets
from ssod.storage.applications import ApplicationRepository
from ssod.storage.engine import connect
from ssod.storage.mappings import MappingRepository
from ssod.storage.migrations import migrate
from ssod.storage.records import Application, BackupRecord, ServerRecord
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository
from ssod.storage.rotation import RotationRepository
from ssod.storage.standing import StandingRepository
from ssod.storage.tickets import TicketRepository

ADMIN = Call(Caller("user:admin", frozenset({"group:admins"})), "t-1")
NOBODY = Call(Caller("user:nobody", frozenset()), "t-2")
APP = Application("app", "", "", True, (), (), (), 0)
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeClock:
    """Stands still until it is moved. `began` is the time of day at its second 0."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.began = BEGAN

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> Instant:
        return Instant(self.seconds, self.began + timedelta(seconds=self.seconds))


class FakeAudit:
    """Keeps its lines, or has no space left."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str, str]] = []
        self.full = False
        self.anchored: Head | None = None
        self.expected: list[Head] = []

    @property
    def head(self) -> Head:
        return Head(len(self.lines), "0" * 64)

    @property
    def newest(self) -> list[AuditLine]:
        return [
            AuditLine(number, 0, "t", who, act, subject, "", how) for number, (who, act, subject, how) in enumerate(self.lines, 1)
        ]

    def expect(self, known: Head, by: str) -> str | None:
        self.expected.append(known)
        return f"{by} knows of line {known.sequence}" if known.sequence > len(self.lines) else None

    def record(self, call: Call, act: str, subject: str, key_id: str = "", outcome: str = "allowed") -> None:
        if self.full:
            raise AuditUnavailable("no space left")
        self.lines.append((call.caller.name, act, subject, outcome))

    def problem(self) -> str | None:
        return "no space left" if self.full else None


class FakeMandate:
    """Given, until it is taken."""

    managed_by = "operator"
    gone = False

    def given(self) -> bool:
        return not self.gone

    def missing(self) -> str:
        return "no mandate was given"


class SwitchedDatabase(Database):
    """A database whose cable can be pulled, and whose use can be held up."""

    lost = False
    # Called before each use, in the thread of the user.
    hold: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def use(self, engine: Engine) -> Iterator[Connection]:
        if self.lost:
            raise DatabaseUnavailable("the cable is pulled")
        self.hold()
        with super().use(engine) as connection:
            yield connection


class Network:
    """Calls between hosts by name; some are cut off, some never answer. `answer` stands in for what a master says."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.cut: set[str] = set()
        self.silent: set[str] = set()
        self.in_vain = asyncio.Event()  # set when somebody waits for a silent one
        self.fetches: list[str] = []
        self.answer: Fetched | None = None

    async def fetch(self, asking: str, master: ServerRecord, etag: str | None) -> Fetched:
        self.fetches.append(master.name)
        if master.name in self.cut:
            raise PeerFailed(f"no answer from {master.name}")
        if master.name in self.silent:
            self.in_vain.set()
            await asyncio.Event().wait()
        if self.answer is not None:
            return self.answer
        try:
            epoch, _, document = await self.hosts[master.name].mastership.keyring_for(ADMIN, asking, etag, 0)
        except SsodError as error:
            failed = PeerRefused if isinstance(error, NotEnrolled) else PeerFailed
            raise failed(f"{master.name} answered {error.status}: {error.detail}") from None
        return Fetched(epoch, Keyring.from_document(document) if document else None)

    async def notify(self, server: ServerRecord, master: str, epoch: int, timeout: float) -> Noticed:
        if server.name in self.cut:
            return Noticed(server.name, False, False, None, None, 0.0, "no answer")
        host = self.hosts[server.name]
        await host.membership.noticed()
        node = host.node
        return Noticed(
            server.name, True, node.attached, node.key_id, node.state.epoch, 0.0, None, node.held_key_ids, node.sealed_key_id
        )


class Line:
    """One host's end of the network."""

    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name

    async def fetch(self, master: ServerRecord, etag: str | None, wait: float) -> Fetched:
        return await self._network.fetch(self._name, master, etag)

    async def notify(self, server: ServerRecord, master: str, epoch: int, timeout: float) -> Noticed:
        return await self._network.notify(server, master, epoch, timeout)


class Host:
    """One server. `standby` keeps a sealed copy and may become the master; a plain one a cache of `cache_max_age` seconds."""

    def __init__(self, world: World, name: str, *, standby: bool = True, cache_max_age: float = 0) -> None:
        self.root = world.root
        self.said: list[Announce] = []
        self.warnings: list[str] = []
        self.audit = FakeAudit()
        self.mandate = FakeMandate()
        self.certificate_problem: str | None = None
        self.database = SwitchedDatabase(connect(world.url))
        self.sealed = SealedCopy(world.root / f"{name}.sealed", [KeyInMemory(CREDENTIAL, SecretBytes(bytes(32)), counting(10_000))])
        self._offload = Offload()
        state = State(name, 60, since=world.clock.now())
        self.node = Node(
            state, world.clock, self.said.append, self.mandate, may_become_master=standby, encrypt_while_detached=False
        )
        self.cache = (
            SealedCache(self.node, self.sealed, self._offload, self.warnings.append, cache_max_age) if cache_max_age else None
        )
        self.environment = EnvironmentRepository(self.database)
        self.servers = ServerRepository(self.database)
        self.membership = Membership(
            self.node,
            self.environment,
            self.servers,
            Line(world.network, name),
            Sealing(self.node, self.sealed if standby else None, self._offload, self.warnings.append, self.cache),
            self.audit,
            self._offload,
            self.warnings.append,
            lambda: None,
        )
        self.applications = ApplicationRepository(self.database)
        self.standing = StandingRepository(self.database)
        self.authority = Authority(self.standing, self._offload, Grants(frozenset({"group:admins"})))
        random = counting(len(world.network.hosts) * 1000)
        self.encryption = Encryption(
            self.node, self.authority, self.membership, self.audit, random, lambda _operation, _count: None
        )
        self.fitness = Fitness(
            self.node,
            self.membership,
            self.audit,
            self._offload,
            lambda: self.certificate_problem,
            lambda: self.database.read_only,
        )
        self.mastership = MastershipService(
            self.node,
            self.membership,
            self.environment,
            self.authority,
            self.audit,
            self._offload,
            self.fitness,
            self.warnings.append,
        )
        self.secret = Secret(self.node, self.membership, self.environment, self.authority, self.audit, self._offload, random)
        rotation = RotationRepository(self.database)
        self.tally = Tally(self.node, rotation, self._offload)
        self.rotation = Rotation(
            self.node,
            self.membership,
            self.environment,
            rotation,
            self.authority,
            self.audit,
            self._offload,
            random,
            self.tally,
        )
        self.use_of_applications = Applications(self.applications, self.authority, self.audit, self._offload)
        self.feed = Feed(lambda: name)
        self.configurations = Configurations(
            self.node,
            self.applications,
            self.authority,
            self.encryption,
            self.audit,
            self._offload,
            random,
            self.feed,
        )
        self.roles = Roles(self.standing, self.authority, self.audit, self._offload)
        self.sso = Sso(self.standing, self.authority, self.audit, self._offload, world.clock)
        stored, redeemed = MappingRepository(self.database), TicketRepository(self.database)
        self.mappings = Mappings(self.node, stored, self.authority, self.encryption, self.audit, self._offload, random)
        self.credentials = Credentials(self.node, stored, self.authority, self.audit, self._offload, self.feed)
        self.tickets = Tickets(self.node, redeemed, self.credentials, self.authority, self.audit, self._offload, random)
        world.network.hosts[name] = self

    def kept(self) -> Keyring | None:
        """What is sealed on this host's disk."""
        kept = self.sealed.read()
        return kept.keyring if kept is not None else None

    def close(self) -> None:
        self._offload.close()
        self.database.dispose()


class World:
    """A database, a network and a clock. Its servers are made by name; those that begin with s are plain ones."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = f"sqlite:///{root}/sso.db"
        migrate(self.url)
        self.clock = FakeClock()
        self.network = Network()
        self.cache_max_age = 0.0

    async def servers(self, *names: str) -> list[Host]:
        """Attached, with the first as the master of a secret that is backed up."""
        hosts = [self.host(name) for name in names]
        master = hosts[0]
        for host in hosts:
            master.servers.enrol(host.node.state.server, f"{host.node.state.server}:7443", host.node.may_become_master, BEGAN)
        master.applications.put(APP, None)
        await master.mastership.activate(ADMIN, None, dry_run=False)
        await master.secret.generate(ADMIN)
        assert master.node.keyring is not None
        record = BackupRecord("a" * 64, master.node.keyring.current.id, BEGAN, "m1:/backup", "passphrase")
        master.environment.record_backup(master.node.state.server, master.node.state.epoch, record)
        for host in hosts:
            await host.membership.noticed()
            await host.authority.reload()
        return hosts

    def host(self, name: str) -> Host:
        return Host(self, name, standby=not name.startswith("s"), cache_max_age=0 if name.startswith("m") else self.cache_max_age)

    def close(self) -> None:
        for host in self.network.hosts.values():
            host.close()
