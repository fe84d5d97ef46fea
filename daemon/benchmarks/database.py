"""The cost to the database: pgbench beside a master and its attached servers, in turn with pgbench without them.

The servers are real ones and never stop: an address in front of two databases leads them to the one that pgbench uses, or to a
copy of it elsewhere. So a run without them begins seconds after one with them, with none of their connections, and nothing herds.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from figures import Figure, Limit, against, alone, paired
from floating import FloatingAddress
from holdfast import pid_of
from load import LoadFailed
from pki import Authority
from postgres import SUPERUSER, Postgres
from processes import LOAD_CPU, SERVER_CPU, cpu_seconds, pin
from servers import FIELDS, Server, make_ready
from waiting import wait_for

from ssod.storage.migrations import migrate

SCALE = 10
CLIENTS = 4
STATEMENTS = 7  # of one transaction of pgbench, BEGIN and END included
APPLICATIONS = 10
# Every server has heard that its line was cut, has moved to where the address leads, and has read there what it keeps a copy of.
SETTLE_SECONDS = 6.0
AT_ONCE = 6

# Both, so that the two kinds of run differ in nothing that comes by chance.
_STEADY = ("max_connections=400", "shared_buffers=512MB", "autovacuum=off", "checkpoint_timeout=1h", "max_wal_size=8GB")
_FLEET = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ssod'"
# Every transaction; and the statements, which know nothing of the empty one that SQLAlchemy asks a pooled connection with first.
_ASKED = """
SELECT xact_commit + xact_rollback, xact_commit + xact_rollback + (
    SELECT coalesce(sum(calls) FILTER (WHERE query NOT IN ('COMMIT', 'ROLLBACK')), 0) FROM pg_stat_statements WHERE dbid = datid
) FROM pg_stat_database WHERE datname = 'sso'
"""


def _times(pid: int) -> list[int]:
    """User and system time of a process, then of its children that have ended and were waited for; in ticks."""
    return [int(each) for each in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:15]]


class Database(Postgres):
    """A PostgreSQL with TLS on one CPU, with room for the connections of many servers."""

    def __init__(self, authority: Authority, cpu: int, *, of: Postgres | None = None) -> None:
        super().__init__(authority, of=of)
        self._prefix = ["taskset", "-c", str(cpu), *self._prefix]
        self._settings += _STEADY
        if of is not None:  # only where pgbench does not run, which it would slow down
            self._settings.append("shared_preload_libraries=pg_stat_statements")

    def rows(self, question: str) -> list[tuple[int, ...]]:
        with psycopg.connect(host=str(self.directory), port=self.port, dbname="postgres", user=SUPERUSER) as connection:
            return connection.execute(question).fetchall()  # type: ignore[call-overload,no-any-return]

    def tree_seconds(self) -> float:
        """CPU of all of its processes, the ended ones too, to 10 ms."""
        while True:
            # One that ends in between is in neither sum: then it is all read again.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                first, *others = self._everyone()
                ticks = sum(_times(first)) + sum(sum(_times(pid)[:2]) for pid in others)
                return ticks / os.sysconf("SC_CLK_TCK")

    def pgbench(self, *arguments: str) -> str:
        connection = ["-h", str(self.directory), "-p", str(self.port), "-U", SUPERUSER]
        command = ["taskset", "-c", str(SERVER_CPU), str(self._bin / "pgbench"), *connection, *arguments, "pgbench"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LoadFailed(f"pgbench: {done.stderr}")
        return done.stdout


class Address(FloatingAddress):
    """Where the servers believe that their database is."""

    def move_to(self, port: int) -> None:
        """Ends what is connected; each server finds that out at its next look, and connects again before it asks."""
        with self._lock:
            self._target = port
            for end in list(self._others):
                if end in self._others:  # its other end went with it
                    self._close(end)


@dataclass(frozen=True)
class Run:
    """One run of pgbench: `rate` in transactions/s; `per_cpu` in transactions a CPU second of PostgreSQL, all of it, and pgbench;
    `fleet` is the CPU of the servers' connections, in seconds a second.
    """

    rate: float
    per_cpu: float
    fleet: float


@dataclass
class Asked:
    """What the servers asked of the copy while they were led there and had settled."""

    seconds: float = 0.0
    transactions: int = 0
    statements: int = 0


class Site:
    """A master and `count` attached servers, and the two databases between which they are moved."""

    def __init__(self, primary: Database, copy: Database, address: Address, count: int) -> None:
        self._primary, self._copy, self._address, self._count = primary, copy, address, count
        self.asked = Asked()

    def lead_to_primary(self, attached: bool) -> None:
        to, off = (self._primary, self._copy) if attached else (self._copy, self._primary)
        self._address.move_to(to.port)
        time.sleep(SETTLE_SECONDS)  # what they read there first: nobody tells when all have; below: who has not moved
        # A machine that has no time for them all is given it: they ask again and again meanwhile.
        wait_for(lambda: len(to.rows(_FLEET)) > self._count and not off.rows(_FLEET), "all servers use the other database", 90)

    def run(self, seconds: float) -> Run:
        fleet = self._fleet_cpu()
        began, tree = time.monotonic(), self._primary.tree_seconds()
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        output = self._primary.pgbench("-c", str(CLIENTS), "-T", f"{seconds:.0f}", "-M", "prepared")
        passed, used = time.monotonic() - began, self._primary.tree_seconds() - tree
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        used += now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime
        after = self._fleet_cpu()
        rate, done = re.search(r"tps = ([\d.]+)", output), re.search(r"actually processed: (\d+)", output)
        if rate is None or done is None:
            raise LoadFailed(f"pgbench said nothing of its rate:\n{output}")
        return Run(float(rate[1]), int(done[1]) / used, sum(after[pid] - fleet.get(pid, 0.0) for pid in after) / passed)

    def without(self, runs: int, seconds: float) -> list[Run]:
        """Runs without the servers; what they ask of the copy is counted meanwhile."""
        began, before = time.monotonic(), self._copy.rows(_ASKED)[0]
        done = [self.run(seconds) for _ in range(runs)]
        after = self._copy.rows(_ASKED)[0]
        self.asked.seconds += time.monotonic() - began
        self.asked.transactions += int(after[0] - before[0])
        self.asked.statements += int(after[1] - before[1])
        return done

    def _fleet_cpu(self) -> dict[int, float]:
        found = {}
        for (pid,) in self._primary.rows(_FLEET):
            with contextlib.suppress(OSError):  # one that has just ended
                found[pid] = cpu_seconds(pid)
        return found


def _still(starting: list[Server]) -> int:
    """How many are not attached yet; the others are let go."""
    starting[:] = [server for server in starting if not (server.answers() and server.status()["can_encrypt"])]
    return len(starting)


def attach(servers: Sequence[Server]) -> None:
    """Starts them, the first as the master; the others a few at a time, as one that is not attached yet asks much more often."""
    master, others = servers[0], servers[1:]
    make_ready(master.start())
    for number in range(APPLICATIONS):
        master.ok("PUT", f"/v1/applications/app{number}", {"enabled": True, "fields": FIELDS, "users": [f"group:users{number}"]})
    for server in others:
        master.ok("PUT", f"/v1/servers/{server.name}", {"address": server.address, "may_become_master": False})
    starting: list[Server] = []
    for server in others:
        wait_for(lambda: _still(starting) < AT_ONCE, "the servers before are attached", 60)
        starting.append(server.start(wait=False))
    wait_for(lambda: _still(starting) == 0, "all servers are attached", 60)


@contextlib.contextmanager
def started(root: Path, count: int) -> Iterator[Site]:
    """PostgreSQL and pgbench have one CPU; the servers, the address, and the copy have the other."""
    allowed = os.sched_getaffinity(0)
    authority = Authority()
    with contextlib.ExitStack() as stack:
        primary = Database(authority, SERVER_CPU)
        stack.callback(primary.remove)
        primary.start()
        primary.execute("CREATE DATABASE sso")
        stack.callback(os.sched_setaffinity, 0, allowed)
        os.sched_setaffinity(0, {LOAD_CPU})  # for the thread of the address
        address = Address(primary.port)
        stack.callback(address.close)
        os.sched_setaffinity(0, allowed)  # starting takes both
        ca = authority.write(root / "ca.pem")
        url = f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{address.port}/sso?sslmode=verify-full&sslrootcert={ca}"
        migrate(url)
        names = ["m1", *(f"s{number:02}" for number in range(1, count + 1))]
        servers = [Server(root, authority, name, url, may_become_master=name == "m1") for name in names]
        for server in servers:
            stack.callback(server.stop, signal.SIGKILL)
        attach(servers)
        for server in servers:
            pin(pid_of(server), LOAD_CPU)
        copy = Database(authority, LOAD_CPU, of=primary)
        stack.callback(copy.remove)
        copy.start()
        copy.promote()
        copy.execute("CREATE EXTENSION pg_stat_statements")
        primary.execute("CREATE DATABASE pgbench")
        primary.pgbench("-i", "-q", "-s", str(SCALE))
        primary.execute("CHECKPOINT")
        os.sched_setaffinity(0, {LOAD_CPU})
        yield Site(primary, copy, address, count)


def cost(root: Path, count: int, pairs: int, seconds: float) -> list[Figure]:
    """`pairs` is even: with, without, without, with, so that what changes steadily favours neither."""
    withs: list[Run] = []
    withouts: list[Run] = []
    with started(root, count) as site:
        site.lead_to_primary(True)
        site.run(2)  # the first one finds nothing where it will be
        withs.append(site.run(seconds))
        while True:
            site.lead_to_primary(False)
            withouts += site.without(2, seconds)
            site.lead_to_primary(True)
            withs.append(site.run(seconds))
            if len(withs) >= pairs:
                break
            withs.append(site.run(seconds))
        asked = site.asked
    rate = [run.rate for run in withs], [run.rate for run in withouts]
    per_cpu = [run.per_cpu for run in withs], [run.per_cpu for run in withouts]
    fleet = [run.fleet * 100 for run in withs]
    asked_of = [asked.transactions / asked.seconds], [asked.statements / asked.seconds]
    bench_rate = statistics.median(rate[1])
    return [
        paired(f"pgbench, {count} servers attached", "transactions/s", rate[0], "without", rate[1], Limit(at_least=0.98)),
        paired("", "transactions/CPU s", per_cpu[0], "without", per_cpu[1]),
        alone("", "% of the CPU, ssod's", fleet),
        against(f"database, {count} servers attached", "transactions/s", asked_of[0], "pgbench", [bench_rate]),
        against("", "statements/s", asked_of[1], "pgbench", [bench_rate * STATEMENTS]),
    ]
