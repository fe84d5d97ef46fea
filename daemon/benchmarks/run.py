"""Measures ssod beside an empty handler and OpenBao, and pgbench beside ssod; prints a table and writes reports/benchmark.json.

docs/benchmarks.md says what is measured, and how. Exits with 1 when a target is missed, with 2 when it could not measure.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

import database  # noqa: E402
import holdfast  # noqa: E402
import openbao  # noqa: E402
from figures import Figure, Limit, against, alone, finish, say  # noqa: E402
from holdfast import APPLICATION, Holdfast, pid_of  # noqa: E402
from load import LoadFailed, Target, check_h2load, in_turn  # noqa: E402
from openbao import OpenBao  # noqa: E402
from processes import SERVER_CPU, cpu_seconds, pin, resident_mb, running  # noqa: E402
from servers import OWN_GROUP, wait_for  # noqa: E402

VALUE_BYTES = 64
BATCH = 1000
SERVERS = 50
FIELDS = 10
STORE = "store"
OUR_CONFIG = f"/v1/applications/{STORE}/config/benchmark?reveal=true"
BAO_CONFIG = "/v1/kv/data/benchmark"
CONTEXT = "benchmark"


@dataclass(frozen=True)
class Plan:
    """`seconds` is the length of one load; `idle_seconds` how long nothing is asked; `pairs` are of pgbench, each run so long."""

    rounds: int
    seconds: float
    idle_seconds: float
    pairs: int
    pgbench_seconds: float


FULL = Plan(rounds=7, seconds=2.0, idle_seconds=66.0, pairs=24, pgbench_seconds=5.0)
QUICK = Plan(rounds=3, seconds=1.0, idle_seconds=30.0, pairs=2, pgbench_seconds=3.0)


@contextlib.contextmanager
def empty_handler(root: Path) -> Iterator[tuple[int, str]]:
    """(pid, socket) of the stack of ADR 0002 with a handler that answers a constant."""
    socket = str(root / "empty.sock")
    command = [sys.executable, str(HERE / "http_stacks" / "serve.py"), "uvicorn_raw", socket]
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline(), "the empty handler did not start"
        pin(process.pid, SERVER_CPU)
        yield process.pid, socket


class Bodies:
    """What is posted: to ssod and to OpenBao the same values, each in its own form."""

    def __init__(self, root: Path, ours: Holdfast, bao: OpenBao) -> None:
        self._root = root
        values = [base64.b64encode(os.urandom(VALUE_BYTES)).decode() for _ in range(BATCH)]
        one, many = {"application": APPLICATION, "context": CONTEXT}, {"application": APPLICATION, "context": CONTEXT}
        sealed = ours.server.ok("POST", "/v1/encrypt-batch", {**many, "plaintexts": values})["ciphertexts"]
        items = [{"plaintext": value} for value in values]
        results = bao.call("POST", "/v1/transit/encrypt/benchmark", {"batch_input": items})["data"]["batch_results"]
        bao_sealed = [each["ciphertext"] for each in results]
        # A benchmark of something that does not work would be a fine figure: both must give back what they were given.
        assert ours.server.ok("POST", "/v1/decrypt-batch", {**many, "ciphertexts": sealed})["plaintexts"] == values
        opened = bao.call("POST", "/v1/transit/decrypt/benchmark", {"ciphertext": bao_sealed[0]})["data"]["plaintext"]
        assert opened == values[0]
        self.ours = {
            "encrypt": self._file("ours-encrypt", {**one, "plaintext": values[0]}),
            "decrypt": self._file("ours-decrypt", {**one, "ciphertext": sealed[0]}),
            "encrypt-batch": self._file("ours-encrypt-batch", {**many, "plaintexts": values}),
            "decrypt-batch": self._file("ours-decrypt-batch", {**many, "ciphertexts": sealed}),
        }
        self.bao = {
            "encrypt": self._file("bao-encrypt", items[0]),
            "decrypt": self._file("bao-decrypt", {"ciphertext": bao_sealed[0]}),
            "encrypt-batch": self._file("bao-encrypt-batch", {"batch_input": items}),
            "decrypt-batch": self._file("bao-decrypt-batch", {"batch_input": [{"ciphertext": each} for each in bao_sealed]}),
        }

    def _file(self, name: str, body: Any) -> Path:
        path = self._root / name
        path.write_text(json.dumps(body, separators=(",", ":")))
        return path


class Loads:
    """The servers under load, and the figures of each kind of request."""

    def __init__(self, root: Path, plan: Plan, ours: Holdfast, bao: OpenBao, empty: tuple[int, str]) -> None:
        self._plan, self._ours, self._bao, self._empty = plan, ours, bao, empty
        self._bodies = Bodies(root, ours, bao)
        self._store()

    def _store(self) -> None:
        """The same ten values in both, under the same names."""
        values = {f"field{number}": base64.b64encode(os.urandom(VALUE_BYTES)).decode() for number in range(FIELDS)}
        master, server = self._ours.master, self._ours.server
        fields = [{"name": name, "masked": True} for name in values]
        master.ok("PUT", f"/v1/applications/{STORE}", {"enabled": True, "users": [OWN_GROUP], "fields": fields})
        master.ok("PUT", f"/v1/applications/{STORE}/config/benchmark", {"properties": values})
        assert server.ok("GET", OUR_CONFIG)["properties"] == values
        # KV version 2 makes its mount ready in the background.
        wait_for(lambda: self._bao_takes(values), "OpenBao stores the values")
        assert self._bao.call("GET", BAO_CONFIG)["data"]["data"] == values

    def _bao_takes(self, values: dict[str, str]) -> bool:
        try:
            self._bao.call("POST", BAO_CONFIG, {"data": values})
        except AssertionError:
            return False
        return True

    def _ssod(self, act: str) -> Target:
        server = self._ours.server
        return Target("ssod", pid_of(server), server.socket, f"/v1/{act}", self._bodies.ours[act])

    def _openbao(self, act: str) -> Target:
        path = f"/v1/transit/{act.removesuffix('-batch')}/benchmark"
        return Target("openbao", self._bao.pid, self._bao.socket, path, self._bodies.bao[act], {"x-vault-token": self._bao.token})

    def one(self, act: str) -> list[Figure]:
        empty = Target("empty", *self._empty, "/empty", self._bodies.ours[act])
        runs = in_turn([empty, self._ssod(act), self._openbao(act)], self._plan.rounds, self._plan.seconds)
        rate = {name: [run.rate for run in of] for name, of in runs.items()}
        p50 = {name: [run.p50 for run in of] for name, of in runs.items()}
        p99 = {name: [run.p99 for run in of] for name, of in runs.items()}
        cpu = {name: [run.cpu for run in of] for name, of in runs.items()}
        return [
            against(f"{act}, {VALUE_BYTES} bytes", "requests/s", rate["ssod"], "empty", rate["empty"], Limit(at_least=0.6)),
            against("", "requests/s", rate["ssod"], "OpenBao", rate["openbao"], Limit(at_least=5)),
            against("", "p50 µs", p50["ssod"], "OpenBao", p50["openbao"]),
            against("", "p99 µs", p99["ssod"], "OpenBao", p99["openbao"]),
            against("", "server CPU µs", cpu["ssod"], "empty", cpu["empty"]),
            against("", "server CPU µs", cpu["ssod"], "OpenBao", cpu["openbao"]),
        ]

    def read(self) -> list[Figure]:
        """Every value of a configuration, which has been read before."""
        ours, bao = self._ours.server, self._bao
        runs = in_turn(
            [
                Target("ssod", pid_of(ours), ours.socket, OUR_CONFIG, None),
                Target("openbao", bao.pid, bao.socket, BAO_CONFIG, None, {"x-vault-token": bao.token}),
            ],
            self._plan.rounds,
            self._plan.seconds,
        )
        mine, theirs = runs["ssod"], runs["openbao"]
        name = f"read a configuration, {FIELDS} fields of {VALUE_BYTES} bytes, warm"
        kv = "OpenBao KV v2"
        return [
            against(name, "requests/s", [r.rate for r in mine], kv, [r.rate for r in theirs], Limit(at_least=5)),
            against("", "p50 µs", [r.p50 for r in mine], kv, [r.p50 for r in theirs]),
            against("", "p99 µs", [r.p99 for r in mine], kv, [r.p99 for r in theirs]),
            against("", "server CPU µs", [r.cpu for r in mine], kv, [r.cpu for r in theirs]),
        ]

    def batch(self, act: str) -> list[Figure]:
        runs = in_turn([self._ssod(act), self._openbao(act)], self._plan.rounds, self._plan.seconds)
        wall = {name: [run.rate * BATCH for run in of] for name, of in runs.items()}
        core = {name: [BATCH / run.cpu * 1e6 for run in of] for name, of in runs.items()}
        return [
            alone(f"{act}, {BATCH:,} x {VALUE_BYTES} bytes", "items/s a core", core["ssod"], Limit(at_least=150_000)),
            against("", "items/s a core", core["ssod"], "OpenBao", core["openbao"]),
            against("", "items/s", wall["ssod"], "OpenBao", wall["openbao"]),
        ]


def idle(ours: Holdfast, seconds: float) -> list[Figure]:
    """After the loads, so that the memory is that of a server which has worked."""
    server, master = pid_of(ours.server), pid_of(ours.master)
    with ours.more_servers(SERVERS):
        before = cpu_seconds(server), cpu_seconds(master), time.monotonic()
        time.sleep(seconds)  # idleness itself is measured: there is no condition to wait for
        passed = time.monotonic() - before[2]
        used, master_used = cpu_seconds(server) - before[0], cpu_seconds(master) - before[1]
        attached = f"master, {SERVERS} servers attached"
        return [
            alone("attached server, idle", "MB resident", [resident_mb(server)], Limit(below=80)),
            alone("", "% of a core", [used / passed * 100], Limit(below=0.5)),
            alone(attached, "% of a core", [master_used / passed * 100], Limit(below=1)),
            alone("", "MB resident", [resident_mb(master)]),
        ]


def measure(plan: Plan, cache: Path) -> list[Figure]:
    with contextlib.ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hf-bench-")))
        say("starting the servers")
        bao = stack.enter_context(openbao.started(cache, root))
        ours = stack.enter_context(holdfast.started(root))
        pin(pid_of(ours.server), SERVER_CPU)
        loads = Loads(root, plan, ours, bao, stack.enter_context(empty_handler(root)))
        figures = []
        for act in ("encrypt", "decrypt"):
            say(f"{act}, one a request")
            figures += loads.one(act)
            say(f"{act}, {BATCH:,} a request")
            figures += loads.batch(f"{act}-batch")
        say("a configuration, one a request")
        figures += loads.read()
        say(f"idle, {plan.idle_seconds:.0f} s")
        return figures + idle(ours, plan.idle_seconds)


def measure_database(plan: Plan) -> list[Figure]:
    """After the others have ended: it takes both CPUs."""
    say(f"the cost to the database, {plan.pairs} pairs of pgbench")
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as root:
        return database.cost(Path(root), SERVERS, plan.pairs, plan.pgbench_seconds)


def _ended(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: about three minutes")
    parser.add_argument("--database", action="store_true", help="only the cost to the database")
    parser.add_argument("--report", type=Path, help="default: reports/benchmark.json; of --database: benchmark-database.json")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".cache" / "benchmarks", help="where OpenBao's binary is kept")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _ended)  # so that what was started is ended
    try:
        check_h2load()
        plan = QUICK if options.quick else FULL
        figures = [] if options.database else measure(plan, options.cache)
        figures += measure_database(plan)
    except (LoadFailed, AssertionError) as error:  # what was waited for, and did not come
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    path = options.report or REPOSITORY / "reports" / ("benchmark-database.json" if options.database else "benchmark.json")
    return finish(figures, path, quick=options.quick, versions={"openbao": openbao.VERSION})


if __name__ == "__main__":
    sys.exit(main())
