"""A control group of its own for each machine, in every hierarchy.

Without it, machines that run side by side share one, and their units die with status 219/CGROUP.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .system import wait_until

PREFIX = "holdfast-"
# Version 1 with CONFIG_RT_GROUP_SCHED only: a new group may run nothing in real time, and what all groups are given
# together is less than a second a second. So those machines share one group for their CPU time: a share of its own for
# each would be too small for a burst, which then waits for the next second, and Corosync loses its token. It counts as
# much as eight machines. It stays when they go; it may be another environment's as well.
REALTIME = f"{PREFIX}realtime"
REALTIME_SETTINGS = {"cpu.rt_runtime_us": "900000", "cpu.shares": "8192"}


def hierarchies() -> list[Path]:
    """Where control groups are mounted here: one place on pure v2, many on v1 and hybrid."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, point, kind = line.split()[:3]
        if kind in ("cgroup", "cgroup2") and point.startswith("/sys/fs/cgroup"):
            found.append(Path(point))
    return found


def is_pure_v2() -> bool:
    """Whether this machine has version 2 only."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def create(name: str, realtime: bool) -> tuple[list[Path], str | None]:
    """Make the groups of one machine; return the files to write its process id into, and a warning if any."""
    entries: list[Path] = []
    warning = None
    for hierarchy in hierarchies():
        shared = realtime and (hierarchy / "cpu.rt_runtime_us").exists()
        group = hierarchy / (REALTIME if shared else f"{PREFIX}{name}")
        group.mkdir(exist_ok=True)
        # Version 1 only: a new cpuset is empty, and nothing can run in it until it has both.
        if not is_pure_v2():
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (group / setting).exists():
                    (group / setting).write_text((hierarchy / setting).read_text())
        for setting, value in REALTIME_SETTINGS.items() if shared else ():
            try:
                (group / setting).write_text(value)
            except OSError as error:
                warning = f"no real-time CPU for {name} ({error.strerror}): Corosync in it may lose its token"
        entries.append(group / "cgroup.procs")
    return entries, warning


def remove(pattern: str, limit: float = 10.0) -> list[Path]:
    """Remove the groups of machines whose name fits, ending what is left in them; return what would not go."""

    def all_gone() -> bool:
        for group in groups(pattern):
            for directory, _children, _files in os.walk(group, topdown=False):
                _remove_one(Path(directory))
        return not groups(pattern)

    wait_until(all_gone, limit)
    return groups(pattern)


def groups(pattern: str) -> list[Path]:
    """The top groups of machines whose name fits a glob pattern."""
    return [group for hierarchy in hierarchies() for group in hierarchy.glob(f"{PREFIX}{pattern}")]


def _remove_one(group: Path) -> None:
    try:
        # Whoever is in a group that we made is ours, whatever its parent died of.
        for process in (group / "cgroup.procs").read_text().split():
            if int(process) > 1:
                os.kill(int(process), signal.SIGKILL)
        group.rmdir()
    except OSError:
        # A process is still ending, or was quicker than us: the caller looks again.
        return
