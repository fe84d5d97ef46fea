"""What an environment is asked to be: reads the specification file and refuses what cannot be built."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import UsageError
from .images import LAYERS, RELEASES

NAME = re.compile(r"[a-z]([a-z0-9-]{0,30}[a-z0-9])?")
GROUP = re.compile(r"[a-z_][a-z0-9_]*")
FIELDS = {"name", "release", "layers", "groups", "realtime", "disk"}
SMALLEST_DISK = 64
# Hosts have the addresses from .11 on; those from .201 on are free for whoever moves one between hosts.
MOST_HOSTS = 190


@dataclass(frozen=True)
class HostSpec:
    """One host as asked for.

    `realtime` gives it CPU time for real-time processes (Corosync). `disk` is the room it has, in MiB, for all that it
    writes; without one it shares this machine's.
    """

    name: str
    release: str
    layers: tuple[str, ...]
    groups: tuple[str, ...]
    realtime: bool
    disk: int | None


@dataclass(frozen=True)
class Specification:
    """An environment as asked for. `redfish` gives it a management controller that powers its hosts off and on."""

    hosts: tuple[HostSpec, ...]
    redfish: bool


def check_environment_name(name: str) -> str:
    """Return the name, or refuse one that cannot be a directory and a tag."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,40}[a-z0-9])?", name):
        raise UsageError(f"environment name {name!r}: use lower-case letters, digits, '-', '.' and '_' (at most 42)")
    return name


def read_spec(path: Path) -> Specification:
    """Read a specification file; a refusal lists every fault in it."""
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read the specification {path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the specification {path} is not JSON: {error}") from None
    rows = data.get("hosts") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        raise UsageError(f'{path}: expected {{"hosts": [{{"name": ..., "release": ...}}, ...]}} with at least one host')
    faults = [f"unknown field {field!r}" for field in sorted(set(data) - {"hosts", "redfish"})]
    redfish = data.get("redfish", False)
    if not isinstance(redfish, bool):
        faults.append("redfish must be true or false")
    hosts = tuple(_read_host(row, faults) for row in rows)
    names = [host.name for host in hosts]
    faults += [f"host {name!r} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if len(hosts) > MOST_HOSTS:
        faults.append(f"{len(hosts)} hosts do not fit into one /24: use at most {MOST_HOSTS}")
    if faults:
        raise UsageError(f"{path}:\n  " + "\n  ".join(faults))
    return Specification(hosts, bool(redfish))


def _read_host(row: Any, faults: list[str]) -> HostSpec:
    row = row if isinstance(row, dict) else {}
    name, release = str(row.get("name", "")), str(row.get("release", ""))
    if not NAME.fullmatch(name):
        faults.append(f"host name {name!r}: use lower-case letters, digits and '-', starting with a letter")
    if release not in RELEASES:
        faults.append(f"host {name!r}: release {release!r} is not one of {', '.join(RELEASES)}")
    layers = _words(row, "layers", name, faults)
    faults += [f"host {name!r}: layer {x!r} is not one of {', '.join(LAYERS)}" for x in layers if x not in LAYERS]
    groups = _words(row, "groups", name, faults)
    faults += [f"host {name!r}: group {x!r} is no Ansible group name" for x in groups if not GROUP.fullmatch(x)]
    faults += [f"host {name!r}: unknown field {field!r}" for field in sorted(set(row) - FIELDS)]
    disk = row.get("disk")
    if disk is not None and (not isinstance(disk, int) or disk < SMALLEST_DISK):
        faults.append(f"host {name!r}: disk must be a number of MiB, at least {SMALLEST_DISK}")
    return HostSpec(
        name=name,
        release=release,
        # One order for all, so that two hosts with the same layers share the same image.
        layers=tuple(layer for layer in LAYERS if layer in layers),
        groups=tuple(dict.fromkeys(groups)),
        realtime=bool(row.get("realtime", "pacemaker" in layers)),
        disk=disk,
    )


def _words(row: dict[str, Any], field: str, name: str, faults: list[str]) -> list[str]:
    value = row.get(field, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        faults.append(f"host {name!r}: {field} must be a list of names")
        return []
    return value
