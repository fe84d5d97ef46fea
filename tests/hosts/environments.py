"""What an environment is and where it is kept; brings it up, changes its hosts, and takes it away."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from . import access, board, cgroups, disks, images, machines, network
from .errors import HostFailed, UsageError
from .spec import HostSpec, Specification
from .system import (
    interrupted,
    lock,
    mount_disk,
    mount_overlay,
    mounts_below,
    remove_tree,
    say,
    step,
    unmount_below,
    wait_until,
    write,
)

T = TypeVar("T")
R = TypeVar("R")

READY_LIMIT = 180.0
STOP_LIMIT = 90.0
# The last part of the addresses that are free for whoever moves one between hosts.
FLOATING = (201, 202)


@dataclass(frozen=True)
class Host:
    """One host of an environment. `machine` is its short name, unique on this machine; `image` its disk's origin."""

    name: str
    release: str
    layers: tuple[str, ...]
    groups: tuple[str, ...]
    realtime: bool
    address: str
    machine: str
    disk: int | None = None
    image: tuple[str, ...] = ()

    @property
    def port(self) -> str:
        """The outer end of its network cable. nspawn would shorten a longer name, hence `_machine_name`."""
        return f"vb-{self.machine}"


@dataclass(frozen=True)
class Outcome:
    """What `up` changed."""

    inventory: Path
    created: int
    started: int


def state_directory() -> Path:
    """Where environments are kept."""
    return Path(os.environ.get("HOLDFAST_TESTHOSTS_STATE", "/var/lib/holdfast-testhosts")).absolute()


class Environment:
    """One environment on disk: `env.json` says what belongs to it, everything else is derived."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = state_directory() / name
        self.tag = hashlib.sha256(str(self.directory).encode()).hexdigest()[:8]
        self.bridge = f"hf-{self.tag}"
        self.number: int | None = None
        self.hosts: tuple[Host, ...] = ()
        self.redfish = False
        record = self.directory / "env.json"
        if record.exists():
            data = json.loads(record.read_text())
            self.number = data["number"]
            self.hosts = tuple(_read_host(row) for row in data["hosts"])
            self.redfish = data.get("redfish", False)

    # --- the whole environment

    def up(self, wanted: Specification) -> Outcome:
        """Make and start what is missing."""
        self.redfish = self.redfish or wanted.redfish
        number = self._accept(wanted.hosts)
        pairs = sorted({(host.release, host.layers) for host in self.hosts if not host.image})
        built = dict(zip(pairs, _parallel(lambda pair: images.build_image(*pair), pairs), strict=True))
        self.hosts = tuple(
            host if host.image else replace(host, image=tuple(map(str, built[host.release, host.layers])))
            for host in self.hosts
        )
        self._save()
        access.make_key(self.directory / "key", f"testhosts {self.name}")
        keys = {host.name: access.make_key(self._at(host) / "ssh_host_ed25519_key", host.name) for host in self.hosts}
        known = [(host.name, host.address, " ".join(keys[host.name].split()[:2])) for host in self.hosts]
        access.write_known_hosts(self.directory, known)
        if self.redfish:
            board.start(self.directory, str(network.network_of(number)[1]))
        absent = [host for host in self.hosts if not (self._at(host) / "prepared").exists()]
        stopped = [host for host in self.hosts if not machines.is_on(self._root(host))]
        _parallel(self._start, self.hosts)
        return Outcome(self._write_inventory(number), len(absent), len(stopped))

    def down(self) -> bool:
        """Take everything away; false when there was nothing."""
        found = self.directory.exists() or network.exists(self.bridge) or bool(cgroups.groups(f"{self.tag}-*"))
        # First of all: it might boot what is taken away.
        board.stop(self.directory)
        ours = {root for root in machines.supervisors() if self.directory in root.parents}
        # Those that seem to be off as well: one of them may be between two boots.
        _parallel(machines.kill_machine, ours | {self._root(host) for host in self.hosts})
        left = cgroups.remove(f"{self.tag}-*")
        if left:
            raise HostFailed(f"control group {left[0]} does not empty; see its cgroup.procs, then repeat this command")
        unmount_below(self.directory)
        for host in self.hosts:
            network.delete(host.port)
        network.remove_bridge(self.bridge, self.number)
        remove_tree(self.directory)
        return found

    # --- one host

    def host(self, name: str) -> Host:
        """The host of that name, or a refusal that names those there are."""
        if not self.hosts:
            raise UsageError(f"there is no environment {self.name!r}; see `testhosts list`, or make it: `testhosts up`")
        for host in self.hosts:
            if host.name == name:
                return host
        names = ", ".join(host.name for host in self.hosts)
        raise UsageError(f"environment {self.name!r} has no host {name!r}; it has {names}")

    def off(self, host: Host) -> bool:
        """Cut its power; false when it was off."""
        with self._switching(host):
            was_on = machines.kill_machine(self._root(host))
            self._tidy(host)
        return was_on

    def stop(self, host: Host) -> bool:
        """Shut it down in good order; false when it was off."""
        # Its power can be cut meanwhile, and be on again before it is tidied up here.
        was_on = machines.stop_machine(self._root(host), STOP_LIMIT)
        with self._switching(host):
            if not machines.is_on(self._root(host)):
                self._tidy(host)
        return was_on

    def on(self, host: Host) -> bool:
        """Boot it from the disk that it has, and do not wait; false when it was on."""
        with self._switching(host):
            return self._boot(host)

    def is_on(self, host: Host) -> bool:
        """Whether it has power."""
        return machines.is_on(self._root(host))

    def await_ready(self, host: Host) -> None:
        """Wait until its systemd has settled and ssh answers."""

        def settled() -> bool:
            if not self.is_on(host):
                raise HostFailed(f"{host.name} powered itself off; its console says:\n{self._console(host)}")
            return self._is_ready(host, 5)

        if not wait_until(settled, READY_LIMIT, every=0.3):
            raise HostFailed(
                f"{host.name} ({host.address}) was not ready within {READY_LIMIT:.0f} s; look inside with "
                f"`testhosts shell {self.name} {host.name} -- systemctl list-jobs`; its console says:\n"
                f"{self._console(host)}"
            )

    def cut(self, host: Host) -> bool:
        """Put it behind a dead switch; false when it already is."""
        self._require_on(host)
        if network.bridge_of(host.port) is None:
            return False
        network.unplug(host.port)
        return True

    def join(self, host: Host) -> bool:
        """Bring the switch back; false when the host was not cut off."""
        self._require_on(host)
        if network.bridge_of(host.port) == self.bridge:
            return False
        network.plug(host.port, self.bridge)
        return True

    def state(self, host: Host) -> str:
        """One word: off, cut or on."""
        if not self.is_on(host):
            return "off"
        return "on" if network.bridge_of(host.port) == self.bridge else "cut"

    def ssh(self, host: Host, *options: str) -> list[str]:
        """The ssh command line to it."""
        return access.ssh_command(self.directory, host.address, *options)

    # --- how

    def _accept(self, wanted: Sequence[HostSpec]) -> int:
        known = {host.name: host for host in self.hosts}
        for spec in wanted:
            host = known.get(spec.name)
            if host and (host.release, host.layers, host.disk) != (spec.release, spec.layers, spec.disk):
                raise UsageError(
                    f"{spec.name} exists in {self.name!r} as {_kind(host)}, the specification says {_kind(spec)}: "
                    f"a disk is not changed in place, run `testhosts down {self.name}` first"
                )
        gone = sorted(set(known) - {spec.name for spec in wanted})
        if gone:
            raise UsageError(
                f"environment {self.name!r} also has {', '.join(gone)}, which the specification does not name: "
                f"add them to it, or run `testhosts down {self.name}` first"
            )
        with lock("network", "it chooses a network"):
            if self.number is None:
                self.number = network.free_number(environment.number or 0 for environment in environments())
                # Written before anything exists, so that `down` knows what to look for.
                self._save()
            network.raise_bridge(self.bridge, self.number)
        hosts: list[Host] = []
        free = (n for n in range(11, 255) if n not in {int(h.address.rpartition(".")[2]) for h in known.values()})
        for spec in wanted:
            if spec.name in known:
                hosts.append(replace(known[spec.name], groups=spec.groups, realtime=spec.realtime))
            else:
                last = next(free)
                address = str(network.network_of(self.number)[last])
                machine = _machine_name(self.number, spec.name, last)
                hosts.append(Host(**asdict(spec), address=address, machine=machine))
        self.hosts = tuple(hosts)
        self._save()
        return self.number

    def _start(self, host: Host) -> None:
        state = self.state(host)
        if state == "cut":
            say(f"{self.name}: {host.name} is cut off and left so; `testhosts join` brings it back")
        elif state == "off" or not self._is_ready(host, 3):
            with step(f"{self.name}: {host.name} ({host.address}, {_kind(host)}): booting"):
                self.on(host)
                self.await_ready(host)
        self._acquaint(host)

    def _boot(self, host: Host) -> bool:
        root, at = self._root(host), self._at(host)
        if machines.is_on(root):
            return False
        self._tidy(host)
        if self.number is None:
            raise UsageError(f"environment {self.name!r} was never brought up")
        network.raise_bridge(self.bridge, self.number)
        if root not in mounts_below(root):
            written = at
            if host.disk:
                written = at / "disk"
                if written not in mounts_below(written):
                    mount_disk(at / "disk.img", host.disk, written)
            mount_overlay(root, [Path(path) for path in host.image], written / "upper", written / "work")
        if not (at / "prepared").exists():
            keys = (at / "ssh_host_ed25519_key", (self.directory / "key.pub").read_text())
            disks.prepare(root, host.name, host.address, network.network_of(self.number), *keys)
            (at / "prepared").touch()
        self._acquaint(host)
        disks.write_resolver(root)
        entries, warning = cgroups.create(self._group(host), host.realtime)
        if warning:
            say(f"warning: {warning}")
        # systemd before 255 boots on hybrid control groups as they are; later ones want version 2.
        unified = not cgroups.is_pure_v2() and host.release != "bookworm"
        machines.boot_machine(root, host.machine, host.name, self.bridge, entries, at / "console.log", unified)
        return True

    def _acquaint(self, host: Host) -> None:
        """Tell it of the other hosts, and whom to trust."""
        disks.write_hosts_file(self._root(host), {host.address: host.name for host in self.hosts})
        if self.redfish:
            disks.trust(self._root(host), board.authority(self.directory))

    def _switching(self, host: Host) -> AbstractContextManager[None]:
        """Hold one host's power switch. The board has no other lock: it must fence while an `up` or `stop` lasts."""
        return lock(f"power-{self.tag}-{host.name}", f"it switches {host.name} of {self.name!r}")

    def _write_inventory(self, number: int) -> Path:
        network_ = network.network_of(number)
        variables = {
            "testhosts_network": str(network_),
            "testhosts_floating": [f"{network_[last]}/{network_.prefixlen}" for last in FLOATING],
        }
        hosts = []
        for host in self.hosts:
            own: dict[str, object] = {"ansible_host": host.address}
            if self.redfish:
                own["testhosts_redfish"] = board.access_to(self.directory, str(network_[1]), host.name)
            hosts.append(access.InventoryHost(host.name, host.groups, own))
        return access.write_inventory(self.directory, variables, hosts)

    def _is_ready(self, host: Host, limit: int) -> bool:
        command = self.ssh(host, "-o", f"ConnectTimeout={limit}", "-o", "ConnectionAttempts=1")
        try:
            answer = subprocess.run(
                [*command, "systemctl is-system-running"],
                check=False,
                text=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=limit * 3,
            )
        except subprocess.TimeoutExpired:
            return False
        return answer.stdout.strip() in ("running", "degraded")

    def _tidy(self, host: Host) -> None:
        """Remove what a machine that has ended may have left; only for a machine that is off."""
        left = cgroups.remove(self._group(host))
        if left:
            raise HostFailed(f"control group {left[0]} of {host.name} does not empty; see its cgroup.procs")
        # The kernel takes the port away with the machine's network namespace, a moment later.
        if not wait_until(lambda: not network.exists(host.port), 2):
            network.delete(host.port)

    def _require_on(self, host: Host) -> None:
        if not network.exists(host.port):
            raise UsageError(f"{host.name} is off; boot it first: testhosts on {self.name} {host.name}")

    def _console(self, host: Host) -> str:
        return machines.tail(self._at(host) / "console.log")

    def _at(self, host: Host) -> Path:
        return self.directory / "hosts" / host.name

    def _root(self, host: Host) -> Path:
        return self._at(host) / "root"

    def _group(self, host: Host) -> str:
        return f"{self.tag}-{host.name}"

    def _save(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        record = {"number": self.number, "redfish": self.redfish, "hosts": [asdict(host) for host in self.hosts]}
        write(self.directory / "env.json", json.dumps(record, indent=2) + "\n")


@contextmanager
def opened(name: str) -> Iterator[Environment]:
    """An environment that nobody else changes meanwhile."""
    tag = Environment(name).tag
    with lock(f"env-{tag}", f"it works on environment {name!r}"):
        yield Environment(name)


def environments() -> list[Environment]:
    """All environments there are."""
    names = sorted(path.parent.name for path in state_directory().glob("*/env.json"))
    return [Environment(name) for name in names]


def _machine_name(number: int, name: str, last: int) -> str:
    """At most 12 characters, because nspawn names the port `vb-NAME` and an interface name has 15."""
    readable = f"hf{number}-{name}"
    return readable if len(readable) <= 12 else f"hf{number}-{last}"


def _read_host(row: dict[str, Any]) -> Host:
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Host(**{**row, **lists})


def _kind(host: Host | HostSpec) -> str:
    disk = f", disk {host.disk} MiB" if host.disk else ""
    return "+".join((host.release, *host.layers)) + disk


def _parallel(act: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do all at once; the first failure, or an interrupt, ends the waits of the others."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        futures = [pool.submit(act, item) for item in items]
        try:
            done, _pending = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            interrupted.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]
