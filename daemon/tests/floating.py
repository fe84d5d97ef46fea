"""An address that moves: a port of 127.0.0.1 that leads to one server, then to another, or to a host that says nothing any more."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading


class FloatingAddress:
    """Bytes are passed on until the address is taken away; what was connected then is never answered, and never ended."""

    def __init__(self, port: int) -> None:
        self._target: int | None = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._others: dict[socket.socket, socket.socket] = {}
        self._silent: list[socket.socket] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def lead_to(self, port: int | None) -> None:
        """None: to a host that takes connections and never says a word."""
        with self._lock:
            self._target = port
            for one in self._others:
                self._selector.unregister(one)
                self._silent.append(one)
            self._others.clear()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.05):
                with self._lock:
                    self._ready(key.fileobj)

    def _ready(self, ready: object) -> None:
        if ready is self._listener:
            one, _ = self._listener.accept()
            if self._target is None:
                self._silent.append(one)
                return
            try:
                other = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                one.close()
                return
            for end, far in ((one, other), (other, one)):
                self._others[end] = far
                self._selector.register(end, selectors.EVENT_READ)
            return
        assert isinstance(ready, socket.socket)
        if ready not in self._others:
            return
        try:
            data = ready.recv(65536)
            self._others[ready].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._close(ready)

    def _close(self, end: socket.socket) -> None:
        for each in (end, self._others[end]):
            with contextlib.suppress(KeyError):
                self._selector.unregister(each)
            self._others.pop(each, None)
            each.close()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        for each in (self._listener, *self._others, *self._silent):
            each.close()
