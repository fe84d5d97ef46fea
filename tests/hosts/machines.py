"""One running machine: find it, boot it, end it. Knows nothing of environments."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from .errors import HostFailed
from .system import command_lines, wait_until

# Asks a systemd that is PID 1 of a container to power off in good order.
GRACEFUL = signal.SIGRTMIN + 4

# Joins the groups before nspawn exists, so that no child of it is ever outside them.
JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
# With --keep-unit nspawn does not boot a machine again that asked for it, but ends with 133 and leaves that to others.
# This shell stays outside the groups: in version 2 a group with groups below it must not hold processes.
SUPERVISE = """switch=$1; shift
while /bin/sh -c "$0" sh "$@"; [ $? = 133 ] && [ -e "$switch" ]; do :; done"""


def supervisors() -> dict[Path, int]:
    """Every systemd-nspawn process of this machine: the directory given to it with -D, and its process id."""
    found: dict[Path, dict[int, int]] = {}
    for process, arguments in command_lines():
        if _is_nspawn(arguments):
            root = Path(arguments[arguments.index("-D") + 1])
            found.setdefault(root, {})[process] = _parent(process)
    # nspawn forks while it sets a machine up; the one that stays is the one that is no child of another.
    return {
        root: next((process for process, parent in family.items() if parent not in family), min(family))
        for root, family in found.items()
    }


def supervisor(root: Path) -> int | None:
    """The systemd-nspawn process of the machine with this root directory."""
    return supervisors().get(root)


def is_on(root: Path) -> bool:
    """Whether the machine has power: it runs, or it is between two boots of its own."""
    supervising = ["/bin/sh", "-c", SUPERVISE, JOIN, str(_switch(root))]
    return any(
        arguments[:5] == supervising or (_is_nspawn(arguments) and str(root) in arguments)
        for _process, arguments in command_lines()
    )


def leader(root: Path) -> int | None:
    """The machine's PID 1 as seen from outside, or None while there is none."""
    parent = supervisor(root)
    if parent is None:
        return None
    for thread in _read(f"/proc/{parent}/task").split():
        for child in _read(f"/proc/{parent}/task/{thread}/children").split():
            inside = [line.split()[1:] for line in _read(f"/proc/{child}/status").splitlines() if "NSpid" in line]
            if inside and len(inside[0]) > 1 and inside[0][-1] == "1" and int(child) > 1:
                return int(child)
    return None


def boot_machine(
    root: Path, machine: str, hostname: str, bridge: str, entries: Iterable[Path], console: Path, unified: bool
) -> None:
    """Start a machine and leave it running; `entries` are the cgroup.procs files of its own groups."""
    nspawn = ["systemd-nspawn", "--quiet", "-D", str(root), "-M", machine, f"--hostname={hostname}", "--boot"]
    nspawn += [f"--network-bridge={bridge}", "--register=no", "--keep-unit", "--resolv-conf=off"]
    switch = _switch(root)
    switch.touch()
    environment = {**os.environ, **({"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"} if unified else {})}
    with console.open("ab") as log:
        subprocess.Popen(
            ["/bin/sh", "-c", SUPERVISE, JOIN, str(switch), *map(str, entries), "--", *nspawn],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    if not wait_until(lambda: leader(root) is not None, 15):
        raise HostFailed(f"{hostname} did not start; its console says:\n{tail(console)}")


def kill_machine(root: Path) -> bool:
    """Cut a machine's power: its kernel namespace ends at once. False when it was not running."""
    _switch(root).unlink(missing_ok=True)
    if not is_on(root):
        return False

    def gone() -> bool:
        # Looked up anew each time: a machine that is just starting gets its PID 1 only now.
        if (process := leader(root)) is not None:
            _signal(process, signal.SIGKILL)
        return not is_on(root)

    if not wait_until(gone, 5, every=0.02) and (process := supervisor(root)) is not None:
        _signal(process, signal.SIGKILL)
    if not wait_until(lambda: not is_on(root), 10):
        raise HostFailed(f"the systemd-nspawn process of {root} does not end (process id {supervisor(root)})")
    return True


def stop_machine(root: Path, limit: float) -> bool:
    """Shut a machine down in good order. False when it was not running."""
    process = leader(root)
    if process is None:
        return kill_machine(root)
    _signal(process, GRACEFUL)
    if not wait_until(lambda: not is_on(root), limit):
        raise HostFailed(f"{root} did not shut down within {limit:.0f} s; cut its power with `testhosts off`")
    _switch(root).unlink(missing_ok=True)
    return True


def tail(console: Path, lines: int = 15) -> str:
    """The end of a machine's console."""
    text = console.read_text(errors="replace") if console.exists() else "(nothing)"
    return "\n".join(text.strip().splitlines()[-lines:])


def _is_nspawn(arguments: Sequence[str]) -> bool:
    return arguments[0].rpartition("/")[2] == "systemd-nspawn" and "-D" in arguments


def _switch(root: Path) -> Path:
    """The file without which a machine that reboots stays off."""
    return root.parent / "switch"


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


def _parent(process: int) -> int:
    status = _read(f"/proc/{process}/status")
    return int(status.split("PPid:")[1].split()[0]) if "PPid:" in status else 0


def _read(path: str) -> str:
    """A file's text, or a directory's names, or nothing if its process has ended meanwhile."""
    try:
        return " ".join(os.listdir(path)) if os.path.isdir(path) else Path(path).read_text(errors="replace")
    except OSError:
        return ""
