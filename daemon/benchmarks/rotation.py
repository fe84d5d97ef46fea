"""Measures a rotation on PostgreSQL: how fast 1,000,000 values are re-encrypted, what memory that takes, and what readers notice.

docs/benchmarks.md says what is measured, and how. Prints a table and writes reports/benchmark-rotation.json. Exits with 1 when a
target is missed, with 2 when it could not measure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import on_postgres  # noqa: E402
import psycopg  # noqa: E402
from figures import Figure, Limit, against, alone, say  # noqa: E402
from pki import Authority  # noqa: E402
from postgres import Postgres  # noqa: E402
from servers import IDENTITY, OWN_GROUP, Server, make_ready  # noqa: E402

from ssod.core.secretbytes import SecretBytes  # noqa: E402
from ssod.seal.copy import SealedCopy  # noqa: E402
from ssod.seal.keys import FILE, KeyInMemory  # noqa: E402
from ssod.service.mappings import place_of  # noqa: E402
from ssod.storage.migrations import migrate  # noqa: E402

MEMORY_MB = 150
READ_EVERY = 0.005
CONFIGS = 100


def fill(server: Server, url: str, count: int) -> None:
    """Stores `count` credentials, sealed as ssod seals them."""
    key = SecretBytes((server.root / "sealing.key").read_bytes())
    kept = SealedCopy(server.sealed, [KeyInMemory(FILE, key, os.urandom)]).read()
    assert kept is not None
    keyring = kept.keyring
    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO mapping SELECT 'people', 'user:u' || n, 'account' || n, 'account' || n, 0, false, false, 1, now() "
            "FROM generate_series(0, %s) n",
            [count - 1],
        )
        columns = "application, principal, field, key_id, envelope"
        with cursor.copy(f"COPY mapping_value ({columns}) FROM STDIN") as copy:
            for number in range(count):
                principal = f"user:u{number}"
                sealed = keyring.seal(place_of("people", principal, "password"), os.urandom(12).hex().encode(), os.urandom)
                copy.write_row(("people", principal, "password", keyring.current.id, sealed))
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE")


@contextlib.contextmanager
def filled_server(root: Path, postgres: Postgres, count: int) -> Iterator[Server]:
    url = postgres.url()
    migrate(url)
    server = Server(root, Authority(), "m1", url)
    try:
        make_ready(server.start())
        fields = [{"name": "password", "masked": True}]
        people = {"type": "individual", "enabled": True, "users": [OWN_GROUP], "fields": fields}
        server.ok("PUT", "/v1/applications/people", people)
        server.ok("PUT", "/v1/applications/app", {"enabled": True, "users": [OWN_GROUP], "fields": fields})
        for number in range(CONFIGS):
            server.ok("PUT", f"/v1/applications/app/config/c{number}", {"properties": {"password": f"p{number}"}})
        say(f"filling the database with {count:,} values")
        fill(server, url, count)
        yield server
    finally:
        server.stop()


class Reader:
    """Reads configurations one after the other, each READ_EVERY seconds, and keeps how long each took (seconds)."""

    def __init__(self, server: Server) -> None:
        self._connection = server.connection()
        self._stop = threading.Event()
        self.took: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(READ_EVERY):
            began = time.perf_counter()
            self._connection.request("GET", f"/v1/applications/app/config/c{number % CONFIGS}?reveal=true")
            response = self._connection.getresponse()
            body = response.read()
            self.took.append(time.perf_counter() - began)
            assert response.status == 200 and b'"p%d"' % (number % CONFIGS) in body, body
            number += 1

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def p99_ms(self) -> float:
        return sorted(self.took)[len(self.took) * 99 // 100] * 1000


def peak_mb(pid: int) -> float:
    """The most memory that a process has had resident, in MB (10^6 bytes)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def rotate(server: Server, *options: str) -> float:
    """Values a second of the re-encryption, as `ssoctl secret rotate` says them."""
    command = [sys.executable, "-m", "ssod.cli", "--socket", server.socket, "secret", "rotate", "--yes", *options]
    command += ["--output", str(server.root / "backup.age"), "--recipient", str(IDENTITY.to_public())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = re.search(r"(\d+) values were re-encrypted in ([\d.]+) s", done.stdout)
    assert said is not None, done.stdout
    return int(said[1]) / float(said[2])


def measure(root: Path, postgres: Postgres, count: int, rounds: int) -> list[Figure]:
    rates, before, during = [], [], []
    with filled_server(root, postgres, count) as server:
        assert server.process is not None
        say(f"re-encrypting {count:,} values, as fast as it goes")
        fastest = rotate(server, "--rate", "0")
        for number in range(rounds):
            say(f"readers, round {number + 1} of {rounds}")
            with Reader(server) as quiet:
                time.sleep(20)  # what is measured is how long reads take in this time
            with Reader(server) as busy:
                rates.append(rotate(server))
            before.append(quiet.p99_ms())
            during.append(busy.p99_ms())
        peak = peak_mb(server.process.pid)
    return [
        alone(f"re-encryption of {count:,} values", "values/s", rates, Limit(at_least=10_000)),
        against("a read of a configuration meanwhile", "p99 ms", during, "before it", before, Limit(below=2)),
        alone("re-encryption with --rate 0", "values/s", [fastest]),
        alone("the daemon's memory, at most", "MB", [peak], Limit(below=MEMORY_MB)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the values, one round: half a minute")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "reports" / "benchmark-rotation.json")
    options = parser.parse_args()
    postgres = Postgres()
    count, rounds = (100_000, 1) if options.quick else (1_000_000, 3)
    return on_postgres.run(postgres, lambda root: measure(root, postgres, count, rounds), options.report, quick=options.quick)


if __name__ == "__main__":
    sys.exit(main())
