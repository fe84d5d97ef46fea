"""systemd's notification protocol: ready, reloading, alive, stopping, and one sentence of status."""

from __future__ import annotations

import os
import socket
import time


class SystemdNotifier:
    """Says nothing when systemd did not start this process."""

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", None)
        self._address = "\0" + path[1:] if path and path.startswith("@") else path
        microseconds = os.environ.pop("WATCHDOG_USEC", None)
        self.watchdog_seconds = int(microseconds) / 1_000_000 if microseconds else None

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.connect(self._address)
            notify.send(message.encode())

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def status(self, status: str) -> None:
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")
