"""How the test hosts touch this machine: run programs, hold locks, wait for conditions, report slow steps."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import HostFailed, SetupError

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "iptables": "iptables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mount": "mount",
    "mkfs.ext4": "e2fsprogs",
    "openssl": "openssl",
}
LOCKS = Path("/run/lock/holdfast-testhosts")

# Set once by an interrupt: every wait ends at its next look instead of running to its limit.
interrupted = threading.Event()


def require_setup() -> None:
    """Refuse a machine that cannot run test hosts, naming everything that is missing at once."""
    if os.geteuid() != 0:
        raise SetupError("test hosts need root (mounts, network, systemd-nspawn): run this again with sudo")
    packages = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if packages:
        raise SetupError(f"programs are missing on this machine: apt-get install {' '.join(packages)}")


def run(command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with its output captured; raise HostFailed with that output if it fails."""
    done = subprocess.run(
        list(command), check=False, text=True, errors="replace", capture_output=True, stdin=subprocess.DEVNULL
    )
    if check and done.returncode != 0:
        output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise HostFailed(f"`{' '.join(command)}` ended with {done.returncode}:\n{output}")
    return done


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """Every process of this machine with its arguments; one that ends meanwhile is left out."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                yield int(name), Path("/proc", name, "cmdline").read_text(errors="replace").split("\0")[:-1] or [""]


@contextmanager
def lock(name: str, waiting: str) -> Iterator[None]:
    """Hold a lock that is valid on this machine; the kernel lets go of it when the process ends.

    Locks live outside every directory that is ever removed, so a waiter never holds a deleted file.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / f"{name}.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another testhosts run: {waiting}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def wait_until(condition: Callable[[], bool], limit: float, every: float = 0.1) -> bool:
    """Wait for a condition for `limit` seconds at most; false when it did not come true."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() >= deadline:
            return False
        if interrupted.wait(every):
            raise KeyboardInterrupt
    return True


def say(line: str) -> None:
    """One line of progress for people; standard output is kept for results."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Report a slow step when it starts and, with its duration, when it ends."""
    say(f"{what} ...")
    started = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - started:.1f} s")


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all, with its mode from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as handle:
        handle.write(text)
    temporary.rename(path)


def mounts_below(directory: Path) -> list[Path]:
    """The mount points at and below a directory, the newest first: it may stand on an older one beside it."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        point = Path(line.split()[1].replace("\\040", " "))
        if point == directory or directory in point.parents:
            found.append(point)
    return found[::-1]


def unmount_below(directory: Path) -> None:
    """Unmount all of a directory; what is still busy is detached, so that its last user lets it go."""
    for point in mounts_below(directory):
        if run(["umount", str(point)], check=False).returncode != 0:
            run(["umount", "--lazy", str(point)])


def mount_disk(image: Path, megabytes: int, point: Path) -> None:
    """Mount a file as a disk of its own size; it takes only the room that has been written to."""
    if not image.exists():
        temporary = image.with_name(f".{image.name}.new")
        with temporary.open("wb") as handle:
            handle.truncate(megabytes * 1024 * 1024)
        # Nothing is set aside for root: a full disk is full for everybody.
        run(["mkfs.ext4", "-q", "-F", "-m", "0", str(temporary)])
        temporary.rename(image)
    point.mkdir(parents=True, exist_ok=True)
    run(["mount", "-o", "loop", str(image), str(point)])


def mount_overlay(root: Path, lower: Sequence[Path], upper: Path, work: Path) -> None:
    """Mount an overlay; `lower` names the uppermost layer first."""
    for directory in (root, upper, work):
        directory.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={upper},workdir={work},index=off"
    run(["mount", "-t", "overlay", "holdfast-testhosts", "-o", options, str(root)])


def remove_tree(directory: Path) -> None:
    """Remove a directory, after making sure that nothing is mounted in it any more."""
    unmount_below(directory)
    left = mounts_below(directory)
    if left:
        raise HostFailed(f"{left[0]} is still mounted; end what uses it (fuser -vm {left[0]}) and repeat this command")
    run(["rm", "-rf", "--one-file-system", str(directory)])
