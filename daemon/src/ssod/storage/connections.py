"""Which connections to the database there are and since when, so that those to a lost one can be ended under who waits on them."""

from __future__ import annotations

import os
import socket
import threading
import time
import weakref
from typing import Any


class Connections:
    """Of one process. Each is made by the thread that needs it, while another may be ending those that are older."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Weak references, as nobody tells of the end of each. No weak dictionary: what ends anywhere changes it under who walks it.
        self._made: dict[int, tuple[weakref.ref[Any], float]] = {}

    def note(self, connection: Any, *_: object) -> None:
        """It was made just now."""
        made = (weakref.ref(connection), time.monotonic())
        with self._lock:
            for number in [number for number, (known, _) in self._made.items() if known() is None]:
                del self._made[number]
            self._made[id(connection)] = made

    def made(self, connection: Any) -> float:
        """When; 0 for one that is not known."""
        with self._lock:
            known, moment = self._made.get(id(connection), (None, 0.0))
        return moment if known is not None and known() is connection else 0.0

    def cut(self, before: float) -> None:
        """Ends those that were made before that moment."""
        with self._lock:
            made = list(self._made.values())
        for known, moment in made:  # without the lock: who makes a connection waits for no kernel
            connection = known()
            if connection is None or moment >= before:
                continue
            try:
                with socket.socket(fileno=os.dup(connection.fileno())) as line:
                    line.shutdown(socket.SHUT_RDWR)
            except Exception:  # noqa: S112  closed meanwhile, in one of the driver's many ways
                continue
