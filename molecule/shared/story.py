"""What the scenarios' stories are told with: hosts, playbooks, probes, and the report of what the probes saw.

A story is a plain program that a scenario's side_effect runs on the control node. It stops at the first promise that is
not kept; figures come from the probes' own lines and from nowhere else.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

T = TypeVar("T")

PROJECT = Path(__file__).resolve().parent.parent.parent
TESTHOSTS = PROJECT / "scripts" / "testhosts"
APPLICATION = "probe"
PAUSE = 0.5  # seconds without an encryption that count as one; probes ask every 50 ms
PROBE_OUTPUT = "/var/tmp/probe.jsonl"  # noqa: S108  on a test host of our own


class PromiseBroken(Exception):
    """What was promised and is not so."""


def say(text: str) -> None:
    """One line of progress, with the time of day; a scenario's lines are also in reports/SCENARIO.log, as they come."""
    line = f"{time.strftime('%H:%M:%S')} {text}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
    scenario = os.environ.get("MOLECULE_SCENARIO_NAME")
    if scenario:
        directory = PROJECT / "reports"
        directory.mkdir(exist_ok=True)
        with (directory / f"{scenario}.log").open("a", encoding="utf-8") as log:
            log.write(line)


def _last_words(*error: Any) -> None:
    """Whatever ends a story stands at the end of its log, too: molecule's own words bury it."""
    say("ended by:\n" + "".join(traceback.format_exception(*error)))


sys.excepthook = _last_words


def promise(kept: object, text: str) -> None:
    """Go on when it is kept; stop, saying which, when it is not."""
    if not kept:
        raise PromiseBroken(text)
    say(f"  kept: {text}")


def wait_for(condition: Callable[[], T], what: str, seconds: float) -> T:
    """Return the condition's first true value; stop after the limit."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise PromiseBroken(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)  # between two looks at the condition


class Run:
    """A playbook that has run: its exit code, its words, how long it took and what it changed."""

    def __init__(self, code: int, output: str, started: float, seconds: float) -> None:
        self.code = code
        self.output = output
        self.started = started
        self.seconds = seconds

    @property
    def changed(self) -> int:
        """Tasks that changed something, of all hosts."""
        return sum(int(count) for count in re.findall(r"^\S+\s+: ok=\d+\s+changed=(\d+)", self.output, re.MULTILINE))


class Environment:
    """One environment of test hosts, and the inventory that its playbooks use."""

    def __init__(self, name: str, *inventories: Path, say_tasks: bool = False) -> None:
        self.name = name
        self._say_tasks = say_tasks
        self._runs = 0
        # Where the collection is that playbooks are taken from: this checkout, unless told otherwise.
        self.collections = Path(os.environ.get("HOLDFAST_COLLECTIONS", str(PROJECT / "collections")))
        self.state = Path(os.environ.get("HOLDFAST_TESTHOSTS_STATE", "/var/lib/holdfast-testhosts")) / name
        first, *more = inventories
        self.inventories = [first, PROJECT / "tests" / "hosts" / "inventory" / "hosts.yml", *more, self.state / "inventory.yml"]
        listed = json.loads(self.tool("ansible-inventory", "--list"))
        self.variables: dict[str, dict[str, Any]] = listed["_meta"]["hostvars"]
        self.groups: dict[str, Any] = listed

    @contextmanager
    def playbooks_of(self, collections: Path) -> Iterator[None]:
        """Within it, playbooks are taken from there."""
        kept, self.collections = self.collections, collections
        try:
            yield
        finally:
            self.collections = kept

    def tool(self, tool: str, *arguments: str) -> str:
        """Run one of Ansible's tools with the inventory; return what it printed."""
        command = [self._bin(tool), *self._inventory_arguments(), *arguments]
        return subprocess.run(command, cwd=PROJECT, env=self._env(), check=True, capture_output=True, text=True).stdout

    @staticmethod
    def _bin(tool: str) -> str:
        return str(Path(sys.executable).parent / tool)

    def _env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MOLECULE_", "ANSIBLE_"))}
        return kept | {
            "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_NOCOLOR": "1",
            # ansible-rulebook looks for ansible-playbook there.
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }

    def _inventory_arguments(self) -> list[str]:
        return [part for inventory in self.inventories for part in ("-i", str(inventory))]

    def new_log(self, playbook: str) -> Path:
        """Where the next run's words go; every run's are kept, for whoever looks for leaks."""
        self._runs += 1
        short = Path(playbook).stem if "/" in playbook else playbook.rpartition(".")[2]
        return self.state / f"{self._runs:02d}-{short}.log"

    def start_playbook(self, name: str, *arguments: str, log: Path) -> subprocess.Popen[str]:
        """Start a playbook in a session of its own, its words going into a file."""
        with log.open("w", encoding="utf-8") as out:
            return self.start_tool("ansible-playbook", *self._inventory_arguments(), name, *arguments, out=out)

    def start_tool(self, tool: str, *arguments: str, out: IO[str]) -> subprocess.Popen[str]:
        """Start one of Ansible's tools in a session of its own."""
        return subprocess.Popen(
            [self._bin(tool), *arguments],
            cwd=PROJECT,
            env=self._env(),
            stdin=subprocess.DEVNULL,  # Ansible refuses one that somebody else, who has it too, made non-blocking
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def playbook(self, name: str, *arguments: str) -> Run:
        """Run a playbook of the collection, such as `holdfast.sso.site`, to its end; says each task as it begins, if wanted."""
        log = self.new_log(name)
        say(f"ansible-playbook {Path(name).name} {' '.join(arguments)}")
        started, began = time.time(), time.monotonic()
        process = self.start_playbook(name, *arguments, log=log)
        try:
            with log.open(encoding="utf-8") as words:
                while process.poll() is None:
                    for line in words:
                        if self._say_tasks and (task := re.match(r"TASK \[(?:.* : )?(.*)\]", line)):
                            sys.stderr.write(f"{time.strftime('%H:%M:%S')}   {task[1]}\n")
                    time.sleep(0.2)  # between two looks at what it wrote
        except BaseException:
            process.terminate()
            process.wait()
            raise
        code = process.returncode
        run = Run(code, log.read_text(encoding="utf-8"), started, time.monotonic() - began)
        say(f"  took {run.seconds:.1f} s, exit code {code}, changed={run.changed}")
        return run

    def must(self, name: str, *arguments: str) -> Run:
        """Run a playbook that must succeed."""
        run = self.playbook(name, *arguments)
        if run.code != 0:
            sys.stderr.write(run.output)
            raise PromiseBroken(f"{name} failed")
        return run

    def power(self, verb: str, host: str) -> None:
        """Do off, on, stop, cut or join."""
        subprocess.run([str(TESTHOSTS), verb, self.name, host], check=True, stdout=subprocess.DEVNULL)

    def ssh(self, host: str, command: str, *, check: bool = True, stdin: bytes | None = None) -> str:
        """Run a shell line on a host, as root; return what it printed."""
        return self.ssh_bytes(host, command, check=check, stdin=stdin).decode()

    def ssh_bytes(self, host: str, command: str, *, check: bool = True, stdin: bytes | None = None) -> bytes:
        """As `ssh`, for what is no text."""
        variables = self.variables[host]
        ssh = ["ssh", "-F", "/dev/null", "-i", variables["ansible_ssh_private_key_file"], "-o", "ConnectTimeout=5"]
        ssh += shlex.split(variables["ansible_ssh_common_args"])
        done = subprocess.run(
            [*ssh, f"{variables['ansible_user']}@{variables['ansible_host']}", command], input=stdin or b"", capture_output=True, check=False
        )
        if check and done.returncode != 0:
            raise PromiseBroken(f"on {host}: {command}: {done.stderr.decode()}{done.stdout.decode()}")
        return done.stdout

    def at_work(self, host: str) -> bool:
        """Whether a module is running there: the one that a killed playbook was waiting for goes on to its end."""
        return bool(self.ssh(host, "pgrep --full 'python3 [&]& sleep 0|[A]nsiballZ' || true").strip())

    def ask(self, host: str, method: str, path: str, body: object = None, *, user: str = "root") -> tuple[int, Any]:
        """Ask a host's ssod over its unix socket as a Unix user: (status, document)."""
        curl = f"setpriv --reuid {user} --regid {user} --init-groups python3 /usr/local/lib/ask.py {method} {shlex.quote(path)}"
        out = self.ssh(host, curl, stdin=json.dumps(body).encode() if body is not None else b"")
        answer = json.loads(out)
        return answer["status"], answer["body"]

    def must_ask(self, host: str, method: str, path: str, body: object = None, *, user: str = "root") -> Any:
        """Ask, and stop unless the answer is 200."""
        status, document = self.ask(host, method, path, body, user=user)
        if status != 200:
            raise PromiseBroken(f"{host}: {method} {path}: {status} {document}")
        return document


class Probes:
    """The probes of an environment: one on each SSO server."""

    def __init__(self, environment: Environment, hosts: Iterable[str]) -> None:
        self._environment = environment
        self.hosts = list(hosts)

    def start(self, application: bool = True) -> None:
        """Make the application, the probes' Unix user, and start a probe on each host."""
        env, first = self._environment, self.hosts[0]
        for host in self.hosts:
            self.equip(host)
        if application:
            body = {"enabled": True, "administrators": ["group:probe"], "fields": [{"name": "password", "masked": True}]}
            env.must_ask(first, "PUT", f"/v1/applications/{APPLICATION}", body)
        known = base64.b64encode(b"known").decode()
        value = {"application": APPLICATION, "context": "probe", "plaintext": known}
        ciphertext = env.must_ask(first, "POST", "/v1/encrypt", value, user="probe")["ciphertext"]
        for host in self.hosts:
            env.ssh(host, "cat > /var/tmp/known", stdin=ciphertext.encode())
            self.run(host)

    def equip(self, host: str) -> None:
        """Put the probe and its user on a host."""
        env, here = self._environment, Path(__file__).parent
        env.ssh(host, "id -u probe >/dev/null 2>&1 || useradd --system --user-group --no-create-home probe")
        for name in ("probe.py", "ask.py"):
            env.ssh(host, f"cat > /usr/local/lib/{name}", stdin=(here / name).read_bytes())

    def run(self, host: str) -> None:
        """Start the probe of a host, which goes on until stop or power-off."""
        self._environment.ssh(
            host,
            f"touch {PROBE_OUTPUT} && chown probe {PROBE_OUTPUT} && systemctl reset-failed probe 2>/dev/null; "
            f"systemd-run --quiet --unit=probe --uid=probe --gid=probe "
            f"python3 /usr/local/lib/probe.py {APPLICATION} probe /var/tmp/known {PROBE_OUTPUT}",
        )

    def stop(self) -> None:
        for host in self.hosts:
            self._environment.ssh(host, "systemctl stop probe 2>/dev/null || true")

    def mark(self) -> dict[str, int]:
        """How much each probe has written: what comes later can be read without all that came before."""
        return {host: int(self._environment.ssh(host, f"stat --format %s {PROBE_OUTPUT}")) for host in self.hosts}

    def lines(self, host: str, after: float = 0.0, mark: dict[str, int] | None = None) -> list[dict[str, Any]]:
        """What a probe wrote, asked after a time; with a mark, only what it has written since."""
        start = mark[host] + 1 if mark else 1
        text = self._environment.ssh(host, f"tail --bytes +{start} {PROBE_OUTPUT}")
        whole = text[: text.rfind("\n") + 1]  # of the last line, the rest may just be coming
        return [line for line in map(json.loads, whole.splitlines()) if line["asked"] >= after]


class Seen:
    """The lines of all probes, and the figures that follow from them."""

    def __init__(self, lines: dict[str, list[dict[str, Any]]]) -> None:
        self.lines = lines

    def count(self, operation: str) -> int:
        return sum(1 for lines in self.lines.values() for line in lines if line["op"] == operation)

    def failed(self, operation: str) -> list[dict[str, Any]]:
        return [line | {"host": host} for host, lines in self.lines.items() for line in lines if line["op"] == operation and not line["ok"]]

    def first(self, host: str, operation: str, ok: bool, after: float) -> float | None:
        """When a host's first such answer came, of those asked after a time."""
        found = (line["answered"] for line in self.lines[host] if line["op"] == operation and line["ok"] is ok and line["asked"] >= after)
        return min(found, default=None)

    def last_first(self, operation: str, ok: bool, after: float, hosts: Iterable[str]) -> float:
        """When the last of the hosts had its first such answer."""
        firsts = {host: self.first(host, operation, ok, after) for host in hosts}
        missing = [host for host, first in firsts.items() if first is None]
        if missing:
            raise PromiseBroken(f"no {operation} with ok={ok} was ever seen on {', '.join(missing)}")
        return max(first for first in firsts.values() if first is not None)

    def encrypts_again(self, host: str, began: float) -> float:
        """Seconds from `began` to the end of the longest pause between two successful encryptions; 0 where none was over PAUSE."""
        answered = sorted(line["answered"] for line in self.lines[host] if line["op"] == "encrypt" and line["ok"])
        pauses = [(two - one, two) for one, two in zip([began, *answered], answered, strict=False) if two >= began]
        longest, end = max(pauses, default=(0.0, began))
        return end - began if longest > PAUSE else 0.0

    def longest_pause(self, host: str, began: float) -> float:
        """Seconds between two successful encryptions in a row, at the most."""
        answered = sorted(line["answered"] for line in self.lines[host] if line["op"] == "encrypt" and line["ok"])
        return max((two - one for one, two in zip([began, *answered], answered, strict=False)), default=0.0)

    def epochs(self) -> list[tuple[int, str]]:
        """Which host claimed to be the active master of which epoch, in the order of the claims. Refuses two of one epoch."""
        claims = sorted(
            (line["asked"], line["epoch"], host)
            for host, lines in self.lines.items()
            for line in lines
            if line["op"] == "master" and line["ok"] and line["mastership"] == "active"
        )
        found: list[tuple[int, str]] = []
        for _asked, epoch, host in claims:
            if not found or found[-1] != (epoch, host):
                found.append((epoch, host))
        if found != sorted(set(found)) or len({epoch for epoch, _host in found}) != len(found):
            raise PromiseBroken(f"epochs are not in order: {found}")
        return found

    def masters_at_once(self) -> int:
        """The most servers that claimed to be the active master at one moment, as far as two claims in a row bracket it."""
        edges: list[tuple[float, int]] = []
        for lines in self.lines.values():
            claims = sorted((line for line in lines if line["op"] == "master"), key=lambda line: line["asked"])
            for one, two in zip(claims, claims[1:], strict=False):
                active = one["ok"] and two["ok"] and one["mastership"] == two["mastership"] == "active"
                if active and two["asked"] - one["answered"] < 1.0:
                    edges += [(one["answered"], 1), (two["asked"], -1)]
        most = now = 0
        for _at, change in sorted(edges):
            now += change
            most = max(most, now)
        return most

    def first_claim(self, host: str, after: float) -> float:
        """When a host first answered that it is the active master."""
        claims = (
            line["answered"]
            for line in self.lines[host]
            if line["op"] == "master" and line["asked"] >= after and line.get("mastership") == "active"
        )
        found = min(claims, default=None)
        if found is None:
            raise PromiseBroken(f"{host} never claimed to be the master")
        return found


def acknowledged_lost(environment: Environment, seen: Seen, at: str) -> int:
    """How many values that were acknowledged on any host do not open on one host now; configurations count too."""
    kept = [line for lines in seen.lines.values() for line in lines if line["op"] == "encrypt" and line["ok"]]
    lost = 0
    for start in range(0, len(kept), 1000):
        part = kept[start : start + 1000]
        body = {"application": APPLICATION, "context": "probe", "ciphertexts": [line["ciphertext"] for line in part]}
        status, answer = environment.ask(at, "POST", "/v1/decrypt-batch", body, user="probe")
        if status != 200:
            lost += len(part)
            continue
        opened = [base64.b64decode(value).decode() for value in answer["plaintexts"]]
        lost += sum(1 for line, value in zip(part, opened, strict=True) if line["value"] != value)
    for host, lines in seen.lines.items():
        written = [line for line in lines if line["op"] == "configure" and line["ok"]]
        if not written:
            continue
        path = f"/v1/applications/{APPLICATION}/config/probe-{host}?reveal=true"
        stored = environment.must_ask(at, "GET", path, user="probe")["properties"]["password"]
        # A write whose answer never came may stand as well: it is the newest acknowledged one, or a later one.
        lost += int(stored.rpartition(" ")[2]) < int(written[-1]["value"].rpartition(" ")[2])
    return lost


def write_report(scenario: str, document: dict[str, Any]) -> None:
    """Write reports/SCENARIO.json and print it as a table."""
    directory = PROJECT / "reports"
    directory.mkdir(exist_ok=True)
    (directory / f"{scenario}.json").write_text(json.dumps({"scenario": scenario} | document, indent=2) + "\n", encoding="utf-8")
    rows = list(document["figures"].items())
    for fault in document.get("faults", []):
        for number, run in enumerate(fault["runs"], 1):
            rows += [(f"{fault['fault']} {number}: {key}", value) for key, value in run.items()]
    width = max(len(row[0]) for row in rows)
    sys.stdout.write(f"{scenario}: reports/{scenario}.json\n")
    for name, value in rows:
        sys.stdout.write(f"  {name:<{width}}  {value}\n")
    sys.stdout.flush()
