"""Measures the store of credential mappings on PostgreSQL: loading 100,000 of them, and a lookup among few and among very many.

docs/benchmarks.md says what is measured, and how. Prints a table and writes reports/benchmark-store.json. Exits with 1 when a
target is missed, with 2 when it could not measure.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import on_postgres  # noqa: E402
from figures import Figure, Limit, against, alone, say  # noqa: E402
from pki import Authority  # noqa: E402
from postgres import Postgres  # noqa: E402
from servers import OWN_GROUP, Server, make_ready  # noqa: E402

from ssod.storage.engine import connect  # noqa: E402
from ssod.storage.mappings import MappingRepository  # noqa: E402
from ssod.storage.migrations import migrate  # noqa: E402
from ssod.storage.repository import Database  # noqa: E402

FIELDS = ("password", "pin")
BLOCK = 200  # lookups on one side before it is the other's turn


@contextlib.contextmanager
def server_on(root: Path, postgres: Postgres) -> Iterator[Server]:
    """A master on a new database, with the application `app`."""
    url = postgres.url()
    migrate(url)
    server = Server(root, Authority(), "m1", url)
    try:
        make_ready(server.start())
        fields = [{"name": field, "masked": True} for field in FIELDS]
        server.ok("PUT", "/v1/applications/app", {"type": "individual", "enabled": True, "users": [OWN_GROUP], "fields": fields})
        yield server
    finally:
        server.stop()


def write_file(path: Path, count: int) -> Path:
    with path.open("w", newline="") as file:
        rows = csv.writer(file) if path.suffix == ".csv" else None
        if rows:
            rows.writerow(["principal", "external_id", *FIELDS])
        for number in range(count):
            password, pin = os.urandom(12).hex(), f"{number:06}"
            if rows:
                rows.writerow([f"user:u{number:07}", f"account{number}", password, pin])
            else:
                file.write(
                    f"- principal: user:u{number:07}\n  external_id: account{number}\n"
                    f"  credentials:\n    password: '{password}'\n    pin: '{pin}'\n"
                )
    path.chmod(0o600)
    return path


def load_seconds(server: Server, file: Path) -> float:
    """How long `ssoctl mapping load` takes, from its start to its end."""
    began = time.monotonic()
    command = [sys.executable, "-m", "ssod.cli", "--socket", server.socket, "mapping", "load", "app", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    say(f"  {done.stdout.strip()}")
    return took


def loads(root: Path, postgres: Postgres, count: int) -> list[Figure]:
    figures = []
    for form in ("csv", "yaml"):
        directory = root / form
        directory.mkdir()
        file = write_file(directory / f"mappings.{form}", count)
        say(f"loading {count:,} mappings of {len(FIELDS)} credentials from {form.upper()}")
        with server_on(directory, postgres) as server:
            took = load_seconds(server, file)
            figures.append(alone(f"load of {count:,} mappings, {form}", "s", [took], Limit(below=60 * count / 100_000)))
            figures.append(alone("", "mappings/s", [count / took]))
            if form == "csv":
                figures.append(alone("the same once more: all unchanged", "s", [load_seconds(server, file)]))
    return figures


# What a load would leave behind, without the hours: envelopes of the right length under the key that is there.
_FILL = """
INSERT INTO application SELECT 'app', '', '', true, '[]', '[]', '[{"name": "password"}, {"name": "pin"}]', 1, 'individual', '{}';
INSERT INTO master_key VALUES ('\\x00', '\\x00', now());
INSERT INTO mapping SELECT 'app', 'user:u' || lpad(n::text, 7, '0'), 'account' || n, 'account' || n, 0, false, false, 1, now()
    FROM generate_series(0, %(count)s - 1) n;
INSERT INTO mapping_value SELECT 'app', 'user:u' || lpad(n::text, 7, '0'), field, '\\x00', decode(repeat('ab', 81), 'hex')
    FROM generate_series(0, %(count)s - 1) n, (VALUES ('password'), ('pin')) f (field);
ANALYZE;
"""


def filled(postgres: Postgres, count: int) -> MappingRepository:
    url = postgres.url()
    migrate(url)
    database = Database(connect(url))
    # The limits of ssod's own connections are for questions that somebody waits for.
    postgres.execute(_FILL % {"count": count}, url.partition("@/")[2].partition("?")[0])
    return MappingRepository(database)


def microseconds(repository: MappingRepository, principals: Sequence[str]) -> list[float]:
    took = []
    for principal in principals:
        began = time.perf_counter()
        found = repository.first("app", {principal})
        took.append((time.perf_counter() - began) * 1e6)
        assert found is not None and len(found.envelopes) == len(FIELDS)
    return took


def lookups(postgres: Postgres, few: int, many: int, rounds: int, blocks: int) -> list[Figure]:
    """Random principals; a block on one side, then one on the other: what else the machine does slows both."""
    say(f"filling two databases, with {few:,} and {many:,} mappings")
    sides = {count: filled(postgres, count) for count in (few, many)}
    chance = random.Random(0)  # noqa: S311  the same principals in each run
    medians: dict[int, list[float]] = {few: [], many: []}
    p99: dict[int, list[float]] = {few: [], many: []}
    say(f"looking up, {rounds} rounds of {blocks * BLOCK:,}")
    for _ in range(rounds):
        took: dict[int, list[float]] = {few: [], many: []}
        for _ in range(blocks):
            for count, repository in sides.items():
                took[count] += microseconds(repository, [f"user:u{chance.randrange(count):07}" for _ in range(BLOCK)])
        for count, values in took.items():
            medians[count].append(statistics.median(values))
            p99[count].append(sorted(values)[len(values) * 99 // 100])
    name = f"lookup among {many:,} mappings"
    return [
        against(name, "p50 µs", medians[many], f"among {few:,}", medians[few], Limit(below=2)),
        against("", "p99 µs", p99[many], f"among {few:,}", p99[few]),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the mappings, three short rounds: half a minute")
    parser.add_argument("--report", type=Path, default=REPOSITORY / "reports" / "benchmark-store.json")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    postgres = Postgres()
    rounds, seconds = (3, 2) if options.quick else (7, 10)
    return on_postgres.run(
        postgres,
        lambda root: [*loads(root, postgres, 100_000 // scale), *lookups(postgres, 1_000, 1_000_000 // scale, rounds, seconds)],
        options.report,
        quick=options.quick,
    )


if __name__ == "__main__":
    sys.exit(main())
