"""The socket that systemd loads credentials of units from: one connection, one value, no word besides."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Awaitable, Callable

from ssod.core.access import Caller
from ssod.errors import Forbidden, SsodError
from ssod.service.denials import Denials
from ssod.service.ports import Call
from ssod.transport.unit_peer import asked_in, peer_of

Give = Callable[[Call, str, str], Awaitable[bytes]]
Warn = Callable[..., None]

# systemd waits as long as the unit may take to start; a value is taken at once, or not any more (seconds).
TAKE_SECONDS = 10.0
# systemd would take a connection without a byte for an empty credential, and start the unit with it. It refuses one of more
# than 1 MiB, and then the unit does not start: its own way to say that there is none.
REFUSAL = b"\n" * (2 << 20)


class CredentialsSocket:
    def __init__(
        self, give: Give, tracking_prefix: str, denials: Denials, warn: Warn, defect: Callable[[str, BaseException], None]
    ) -> None:
        self._give = give
        self._denials = denials
        self._prefix = tracking_prefix
        self._numbers = itertools.count(1)
        self._warn = warn
        self._defect = defect
        self._path: str | None = None
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()

    def start(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(path)
        os.chmod(path, 0o600)  # systemd is root; nobody else has business here
        listener.listen(512)
        self._path, self._listener = path, listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def stop(self) -> None:
        """Takes no more, and lets what is under way end."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=TAKE_SECONDS)
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError as error:
                self._warn("no unit can be given a credential at the moment", reason=error.strerror)
                await asyncio.sleep(1.0)  # out of descriptors: there is nothing to wait on but time
                continue
            serving = asyncio.create_task(self._serve(connection, address))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve(self, connection: socket.socket, address: bytes | str) -> None:
        tracking_id = f"{self._prefix}-u{next(self._numbers)}"
        loop = asyncio.get_running_loop()
        with connection:
            content = await self._content(connection, address, tracking_id)
            # Who does not take it, or no more of it, has gone or will not: systemd hangs up on a refusal.
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(TAKE_SECONDS):
                    await loop.sock_sendall(connection, content)

    async def _content(self, connection: socket.socket, address: bytes | str, tracking_id: str) -> bytes:
        caller = Caller("uid:unknown", frozenset())
        try:
            peer = peer_of(connection)
            caller = Caller(peer.name, frozenset({peer.name}))
            asked = asked_in(address)
            if peer.uid != 0 or peer.unit != asked.unit:
                raise Forbidden(
                    f"{peer.name} asked for credential {asked.credential} of {asked.unit}, and only that unit may",
                    subject=f"{asked.credential} of {asked.unit}",
                )
            return await self._give(Call(caller, tracking_id), asked.unit, asked.credential)
        except SsodError as refusal:
            if isinstance(refusal, Forbidden):
                self._denials.note(Call(caller, tracking_id), refusal, "load unit credential")
            step = {"next": refusal.next_step} if refusal.next_step else {}
            self._warn("a unit is refused a credential", caller=caller.name, reason=refusal.detail, tracking_id=tracking_id, **step)
        except Exception as error:
            self._defect(tracking_id, error)
        return REFUSAL
