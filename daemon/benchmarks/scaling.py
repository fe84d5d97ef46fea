"""Measures how one master bears many servers: when the last of 50 holds a new key, and what each of up to 5,000 costs.

docs/scaling.md says what is measured, and what follows. Prints a table and writes reports/benchmark-scaling.json. Exits with 1 when
a target is missed, with 2 when it could not measure.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import on_postgres  # noqa: E402
import psycopg  # noqa: E402
from database import attach  # noqa: E402
from figures import Figure, Limit, alone, say  # noqa: E402
from holdfast import FIFTY, pid_of  # noqa: E402
from pki import Authority  # noqa: E402
from postgres import Postgres  # noqa: E402
from processes import cpu_seconds, resident_mb, running  # noqa: E402
from servers import OWN_GROUP, Server, back_up  # noqa: E402
from waiting import wait_for  # noqa: E402

from ssod.core.envelope import from_text, key_id_of  # noqa: E402
from ssod.storage.changes import CHANNEL  # noqa: E402
from ssod.storage.migrations import migrate  # noqa: E402

APPLICATION = "billing"
ENCRYPT = json.dumps({"application": APPLICATION, "context": "c", "plaintext": base64.b64encode(b"value").decode()})
# Between two questions to a server which key it encrypts under: the figure is so coarse.
LOOK_SECONDS = 0.02
# Simulated servers in one process of the load.
A_PROCESS = 1250
# Files beside those of the connections; and how long a master may take to take in one server, before the measurement gives up.
FILES_BESIDE = 500
SECONDS_A_SERVER = 0.1
LIMIT_SECONDS = 120.0
# What a new keyring may take until the last server holds it.
WANTED_SECONDS = 2.0


class Roomy(Postgres):
    """With room for the connections of many servers."""

    def __init__(self) -> None:
        super().__init__()
        self._settings.append("max_connections=400")


@contextlib.contextmanager
def environment(root: Path, postgres: Postgres, count: int) -> Iterator[list[Server]]:
    """A master, and `count` real servers that are attached to it."""
    root.mkdir()
    url = postgres.url()
    migrate(url)
    names = ["m1", *(f"s{number:02}" for number in range(1, count + 1))]
    authority = Authority()
    servers = [Server(root, authority, name, url, may_become_master=name == "m1") for name in names]
    try:
        attach(servers)
        fields = [{"name": "password", "masked": True}]
        servers[0].ok("PUT", f"/v1/applications/{APPLICATION}", {"enabled": True, "users": [OWN_GROUP], "fields": fields})
        yield servers
    finally:
        for server in servers:
            server.stop(signal.SIGKILL)


def key_in_use(connection: http.client.HTTPConnection) -> str:
    """The key id that a server seals a new value under: for that it asks nobody."""
    connection.request("POST", "/v1/encrypt", ENCRYPT, {"Content-Type": "application/json"})
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    return key_id_of(from_text(json.loads(body)["ciphertext"])).hex()


def switch(servers: list[Server], url: str) -> float:
    """Makes another secret current; the seconds from the commit, as the database tells it, to the last server that uses it."""
    master = servers[0]
    master.ok("POST", "/v1/secret/rotation/prepare", {})
    back_up(master)
    connections = [server.connection() for server in servers]
    old = {key_in_use(connection) for connection in connections}
    assert len(old) == 1, old
    switched: list[object] = []
    with psycopg.connect(url, autocommit=True) as line:
        line.execute(f"LISTEN {CHANNEL}")
        body = {"timeout": 30}
        thread = threading.Thread(target=lambda: switched.append(master.call("POST", "/v1/secret/rotation/switch", body)))
        thread.start()
        told = next((each for each in line.notifies(timeout=30) if "environment" in each.payload), None)
        began = time.monotonic()
    waiting = connections
    while told is not None and waiting:
        waiting = [connection for connection in waiting if key_in_use(connection) in old]
        assert time.monotonic() - began < LIMIT_SECONDS, f"{len(waiting)} servers do not use the new key"
        time.sleep(LOOK_SECONDS)  # between two looks, which must not be the load that is measured
    took = time.monotonic() - began
    thread.join()
    for connection in connections:
        connection.close()
    assert told is not None and isinstance(switched[0], tuple) and switched[0][0] == 200, switched
    return took


def real(root: Path, postgres: Postgres, count: int, rounds: int) -> list[Figure]:
    say(f"{count} real servers are started")
    with environment(root / "real", postgres, count) as servers:
        url = _url_of(servers[0])
        took = []
        for number in range(rounds):
            took.append(switch(servers, url))
            say(f"round {number + 1} of {rounds}: the last server used the new key after {took[-1]:.2f} s")
            assert servers[0].ok("POST", "/v1/secret/rotation/renew", {})["last"] is None
    return [alone(f"from the switch to the last of {count} servers", "s", took, Limit(below=WANTED_SECONDS))]


def _url_of(server: Server) -> str:
    """Of its database, for the driver."""
    line = next(line for line in server.config.read_text().splitlines() if line.startswith("url = "))
    return line.partition('"')[2].rpartition('"')[0].replace("+psycopg", "")


class Crowd:
    """Servers that wait on one master: each with its certificate, its TLS connection and its long poll, many in one process."""

    def __init__(self, root: Path, master: Server, count: int) -> None:
        self._root = root
        self._master = master
        self.count = count
        self._names = [f"more{number:05}" for number in range(count)]
        parts = [self._names[first : first + A_PROCESS] for first in range(0, count, A_PROCESS)]
        self._directories = [self._certificates(part) for part in parts]

    def enrol(self) -> None:
        """All in one statement: to enrol servers one by one is not what is measured."""
        statement = "COPY server (name, address, may_become_master, enrolled_at) FROM STDIN"
        with psycopg.connect(_url_of(self._master)) as connection, connection.cursor().copy(statement) as copy:
            for name in self._names:
                copy.write_row((name, "127.0.0.1:9", False, "2026-01-01"))
        wait_for(lambda: len(self._master.ok("GET", "/v1/status")["servers"]) > self.count, "the master knows them", 30)

    def attach(self, stack: contextlib.ExitStack) -> float:
        """Starts them; the seconds until all are attached."""
        began = time.monotonic()
        for directory in self._directories:
            command = [sys.executable, str(FIFTY), str(directory), self._master.name, self._master.address]
            with (directory / "said").open("wb") as said:
                stack.enter_context(running([*command, str(directory / "attached")], stdout=said))
        patience = 60 + self.count * SECONDS_A_SERVER
        wait_for(lambda: all((each / "attached").exists() for each in self._directories), "all are attached", patience)
        return time.monotonic() - began

    def _certificates(self, names: list[str]) -> Path:
        directory = Path(tempfile.mkdtemp(dir=self._root))
        self._master.authority.write(directory / "ca.pem")
        for name in names:
            self._master.authority.issue(directory, name)
        return directory

    def _lines(self) -> list[str]:
        # The last one may be half written.
        said = ((each / "said").read_text().rpartition("\n")[0] for each in self._directories)
        return [line for lines in said for line in lines.splitlines()]

    def failures(self) -> int:
        return sum(line.startswith("failed") for line in self._lines())

    def last(self, said: str, since: float) -> float:
        """The seconds from that moment until the last server said that a keyring is new to it, or that it is back."""

        def moments() -> list[float]:
            return [float(line.split()[1]) - since for line in self._lines() if line.startswith(said)]

        wait_for(
            lambda: sum(moment > 0 for moment in moments()) >= self.count, f"{self.count:,} servers say: {said}", LIMIT_SECONDS
        )
        return max(moments())

    def reach(self) -> float:
        """The seconds until the last server holds a new keyring: from the request by which the master makes it."""
        began = time.monotonic()
        prepared = self._master.ok("POST", "/v1/secret/rotation/prepare", {})
        assert prepared["changed"], prepared
        return self.last("new", began)

    def return_to(self) -> float:
        """The seconds until the last server is attached again: from the start of a master that was killed."""
        self._master.stop(signal.SIGKILL)
        began = time.monotonic()
        self._master.start()
        return self.last("back", began)


def simulated(root: Path, postgres: Postgres, size: int, idle: float) -> list[Figure]:
    """`size` servers that wait on a master which has nothing else to do."""
    say(f"{size:,} simulated servers are started")
    with contextlib.ExitStack() as stack:
        (master,) = stack.enter_context(environment(root / f"crowd{size}", postgres, 0))
        return _measured(Crowd(root, master, size), master, size, idle, stack)


def _measured(crowd: Crowd, master: Server, size: int, idle: float, stack: contextlib.ExitStack) -> list[Figure]:
    pid = pid_of(master)
    crowd.enrol()
    alone_mb, before = resident_mb(pid), cpu_seconds(pid)
    rate = size / crowd.attach(stack)
    handshakes = (cpu_seconds(pid) - before) / size
    say(f"{size:,} servers are attached; the master is measured for {idle:.0f} s")
    began, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(idle)  # what is measured is what the master uses in this time
    load = (cpu_seconds(pid) - used) / (time.monotonic() - began) * 100
    memory = resident_mb(pid)
    used = cpu_seconds(pid)
    reached = crowd.reach()
    spent = cpu_seconds(pid) - used
    failed = crowd.failures()
    say(f"the last of {size:,} held the new keyring after {reached:.2f} s; {failed} questions failed")
    back = crowd.return_to()
    return [
        alone(f"{size:,} servers wait on one master", "MB resident", [memory]),
        alone("", "kB a server", [(memory - alone_mb) * 1000 / size]),
        alone("", "% of a core", [load]),
        alone("to attach them all", "servers/s", [rate]),
        alone("", "master CPU ms a server", [handshakes * 1000]),
        alone("until the last holds a new keyring", "s", [reached]),
        alone("", "master CPU ms a server", [spent / size * 1000]),
        alone("", "questions that failed", [float(failed)]),
        alone(f"servers that it reaches in {WANTED_SECONDS:g} s", "servers", [size * WANTED_SECONDS / reached]),
        alone("", "by its CPU alone", [size * WANTED_SECONDS / spent]),
        alone("until all are back after its restart", "s", [back]),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 real servers, 200 simulated: under two minutes")
    parser.add_argument("--real", type=int, help="so many real servers (default: 50)")
    parser.add_argument(
        "--simulated", type=int, nargs="*", help="so many simulated ones, one measurement each (default: 1000 5000)"
    )
    parser.add_argument("--report", type=Path, default=REPOSITORY / "reports" / "benchmark-scaling.json")
    options = parser.parse_args()
    count = options.real if options.real is not None else 5 if options.quick else 50
    sizes = options.simulated if options.simulated is not None else [200] if options.quick else [1000, 5000]
    needed = max([count, *sizes]) + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        say(f"a process may open {hard} files here, {needed} are needed: raise `ulimit -Hn`, then run this again")
        return 2
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    postgres = Roomy()

    def measure(root: Path) -> list[Figure]:
        figures = real(root, postgres, count, 2 if options.quick else 5) if count else []
        for size in sizes:
            figures += simulated(root, postgres, size, 20 if options.quick else 66)
        return figures

    return on_postgres.run(postgres, measure, options.report, quick=options.quick)


if __name__ == "__main__":
    sys.exit(main())
