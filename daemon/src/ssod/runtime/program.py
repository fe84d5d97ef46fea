"""The program that is told of events: started for each, with the message on its standard input."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path

from ssod.service.ports import NotDelivered

SECONDS = 30.0

# Nothing of ssod's own environment: it has where systemd keeps the credentials of this unit.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class Program:
    def __init__(self, path: str, seconds: float = SECONDS) -> None:
        self._path = path
        self._seconds = seconds

    def __call__(self, body: bytes) -> None:
        """Blocks until it has ended. Raises NotDelivered, also for an exit code other than 0.

        What it writes goes where ssod's own words go: into the journal.
        """
        unsafe = problem(self._path)
        if unsafe is not None:
            raise NotDelivered(unsafe)
        try:
            process = subprocess.Popen(  # noqa: S603  a file that only root, or whoever runs ssod, could have written
                [self._path], stdin=subprocess.PIPE, stdout=2, env=ENVIRONMENT, cwd="/", start_new_session=True
            )
        except OSError as error:
            raise NotDelivered(f"it cannot be started: {error.strerror}") from None
        try:
            process.communicate(body, timeout=self._seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with everything that it has started
            process.wait()
            raise NotDelivered(f"it did not end within {self._seconds:g} s and was killed") from None
        if process.returncode != 0:
            raise NotDelivered(f"it ended with {process.returncode}")


def problem(path: str) -> str | None:
    """Why a program is not started: it runs as ssod does, so nobody else may be able to change it, nor put another in its place."""
    try:
        real = Path(path).resolve(strict=True)
        if not stat.S_ISREG(real.stat().st_mode) or not os.access(real, os.X_OK):
            return f"{path} is no file that ssod may run"
        for each in {*(real, *real.parents), *Path(path).parents}:
            found = each.stat()
            others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
            if found.st_uid not in {0, os.geteuid()} or others:
                return f"{each} can be written by others than root and the user of ssod"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None
