"""Measures the candidates side by side and prints the table of ADR 0002. It decides nothing.

Every round runs every candidate once, so a ratio within a round sees the same noise; the table gives medians (min-max)
over rounds. Needs h2load (nghttp2-client), taskset and two CPUs: the servers share CPU 0, the load runs on CPU 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from payload import BODY

HERE = Path(__file__).parent
CANDIDATES = ("uvicorn_raw", "uvicorn_direct", "uvicorn_starlette", "aiohttp_application", "aiohttp_server")
BASELINE = CANDIDATES[0]
TICK = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Run:
    """One candidate, once: requests a second, latency and server CPU in microseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float


@dataclasses.dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    socket: Path
    rss: int  # KiB, after import

    def cpu_seconds(self) -> float:
        # The name in parentheses may hold spaces: count fields from behind it. utime and stime are the 14th and 15th.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def start(candidate: str, folder: Path) -> Server:
    path = folder / f"{candidate}.sock"
    command = ["taskset", "-c", "0", sys.executable, str(HERE / "serve.py"), candidate, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return Server(process, path, int(process.stdout.readline()))


def load(server: Server, path: str, connections: int, requests: int, folder: Path) -> Run:
    log = folder / "requests.log"
    log.unlink(missing_ok=True)
    command = ["taskset", "-c", "1", "h2load", "--h1", "-t1", f"-c{connections}", f"-n{requests}"]
    command += ["-B", f"unix:{server.socket}", "-d", str(folder / "body"), "-H", "content-type: application/json"]
    command += ["--log-file", str(log), f"http://localhost{path}"]
    before = server.cpu_seconds()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu = (server.cpu_seconds() - before) / requests * 1e6
    assert f"status codes: {requests} 2xx" in output, output
    rate = re.search(r"([\d.]+) req/s", output)
    assert rate is not None, output
    latency = sorted(int(line.rsplit("\t", 1)[1]) for line in log.read_text().splitlines())
    return Run(float(rate[1]), latency[len(latency) // 2], latency[len(latency) * 99 // 100], cpu)


def summary(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def table(runs: dict[str, list[Run]]) -> str:
    lines = ["| stack | requests/s | p50 µs | p99 µs | CPU µs/request | rate ratio | CPU ratio |"]
    lines.append("|---" * 7 + "|")
    for candidate, mine in runs.items():
        pairs = list(zip(mine, runs[BASELINE], strict=True))
        cells = [summary([getattr(run, field) for run in mine]) for field in ("rate", "p50", "p99")]
        cells.append(summary([run.cpu for run in mine], 1))
        cells.append(summary([run.rate / base.rate for run, base in pairs], 2))
        cells.append(summary([run.cpu / base.cpu for run, base in pairs], 2))
        lines.append(f"| {candidate} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body").write_bytes(BODY)
        servers = {candidate: start(candidate, folder) for candidate in CANDIDATES}
        try:
            print("RSS after import, MiB:", {name: round(server.rss / 1024, 1) for name, server in servers.items()})
            for path in ("/empty", "/codec"):
                for connections in (8, 1):
                    runs: dict[str, list[Run]] = {candidate: [] for candidate in CANDIDATES}
                    for server in servers.values():
                        load(server, path, connections, options.requests // 4, folder)  # warm up
                    for _ in range(options.rounds):
                        for candidate, server in servers.items():
                            runs[candidate].append(load(server, path, connections, options.requests, folder))
                    print(f"\n{path}, {connections} connection(s)\n\n{table(runs)}", flush=True)
        finally:
            for server in servers.values():
                server.process.terminate()
                server.process.wait()


if __name__ == "__main__":
    main()
