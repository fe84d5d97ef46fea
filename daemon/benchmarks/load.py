"""One run of h2load against a unix socket: what the other side did in it, and what it cost there."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from processes import LOAD_CPU, cpu_seconds

CONNECTIONS = 8


@dataclasses.dataclass(frozen=True)
class Run:
    """`rate` in requests/s; `p50` and `p99` in microseconds; `cpu` in microseconds of the server's CPU a request."""

    rate: float
    p50: float
    p99: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Target:
    """A path of a server on a unix socket, and the one body that is posted to it; None: it is read."""

    name: str
    pid: int
    socket: str
    path: str
    body: Path | None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class LoadFailed(Exception):
    """The load generator is missing, or not every answer was a 2xx."""


def check_h2load() -> None:
    if shutil.which("h2load") is None:
        raise LoadFailed("h2load is missing: apt-get install nghttp2-client")
    if shutil.which("taskset") is None:
        raise LoadFailed("taskset is missing: apt-get install util-linux")


def load(target: Target, requests: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="hf-load-") as directory:
        return _load(target, requests, Path(directory) / "log")


def _load(target: Target, requests: int, log: Path) -> Run:
    posted = {"content-type": "application/json"} if target.body is not None else {}
    headers = {**posted, **target.headers}
    command = ["taskset", "-c", str(LOAD_CPU), "h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-n{requests}"]
    command += ["-B", f"unix:{target.socket}", "--log-file", str(log)]
    command += ["-d", str(target.body)] if target.body is not None else []
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    before = cpu_seconds(target.pid)
    output = subprocess.run([*command, f"http://localhost{target.path}"], check=True, capture_output=True, text=True).stdout
    cpu = cpu_seconds(target.pid) - before
    rate = re.search(r"([\d.]+) req/s", output)
    if f"status codes: {requests} 2xx" not in output or rate is None:
        raise LoadFailed(f"{target.name}, {target.path}: not every answer was a 2xx:\n{output}")
    latency = sorted(int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines())
    return Run(float(rate[1]), latency[len(latency) // 2], latency[len(latency) * 99 // 100], cpu / requests * 1e6)


def requests_for(target: Target, seconds: float) -> int:
    """How many requests take about so long; asking warms the server up."""
    rate = load(target, 10 * CONNECTIONS).rate  # the first ones are slow: they only tell how many to ask for next
    rate = load(target, max(10 * CONNECTIONS, int(rate * seconds / 4))).rate
    return max(10 * CONNECTIONS, int(rate * seconds))


def in_turn(targets: list[Target], rounds: int, seconds: float) -> dict[str, list[Run]]:
    """Every target once a round: a ratio within a round sees the same neighbours."""
    counts = [requests_for(target, seconds) for target in targets]
    runs: dict[str, list[Run]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target, count in zip(targets, counts, strict=True):
            runs[target.name].append(load(target, count))
    return runs
