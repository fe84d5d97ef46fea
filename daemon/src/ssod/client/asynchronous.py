"""The client for programs with an event loop: one connection, kept, for all tasks in turn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TypeVar

from . import exchange
from .answers import Config, Credentials, Ticket
from .blocking import DEFAULT_SOCKET, DEFAULT_TIMEOUT, RETRY_PAUSE
from .errors import NotUnderstood, Unavailable, Unreachable
from .exchange import Question, Response, Watch

T = TypeVar("T")


class _Closed(Exception):
    """The other end closed the connection before the first byte of an answer."""


class _Line:
    """One connection to ssod: made when it is needed, kept, and made anew once when it was closed meanwhile."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, question: Question[T], patience: float = 0.0) -> Response:
        """`patience`: seconds that the answer may take beyond the ordinary. Raises Unreachable, NotUnderstood."""
        limit = self._client.timeout + patience
        if question.repeatable and self._streams is not None:
            try:
                return await self._exchange(question, limit)
            except _Closed:
                pass  # while it was idle
        self.close()
        try:
            async with asyncio.timeout(self._client.timeout):
                self._streams = await self._client.connect()
        except OSError as error:
            raise Unreachable(f"ssod cannot be reached: {error.strerror or error}", perhaps_done=False) from None
        try:
            return await self._exchange(question, limit)
        except _Closed:
            raise Unreachable("the connection to ssod was lost", perhaps_done=True) from None

    async def _exchange(self, question: Question[T], limit: float) -> Response:
        assert self._streams is not None  # noqa: S101  for the type checker: `ask` has made them
        reader, writer = self._streams
        whole = False
        try:
            async with asyncio.timeout(limit):
                writer.write(_request(question))
                await writer.drain()
                response = await _response(reader)
            whole = True
            return response
        except ConnectionError:
            raise _Closed from None
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise _Closed from None
            raise Unreachable("the connection to ssod was lost within an answer", perhaps_done=True) from None
        except OSError as error:  # a TimeoutError is one
            raise Unreachable(f"the connection to ssod was lost: {error or 'no answer'}", perhaps_done=True) from None
        except (ValueError, asyncio.LimitOverrunError):
            raise NotUnderstood("an answer that is not HTTP") from None
        finally:
            if not whole:
                self.close()  # what would come on this connection next is the answer to this question

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _request(question: Question[T]) -> bytes:
    lines = [f"{question.method} {question.target} HTTP/1.1", *(f"{name}: {value}" for name, value in question.headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (question.body or b"")


async def _response(reader: asyncio.StreamReader) -> Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    version, status, _ = (head[0] + "  ").split(" ", 2)
    if version != "HTTP/1.1":
        raise ValueError
    headers = {}
    for line in head[1:-2]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return Response(int(status), headers, await reader.readexactly(int(headers.get("content-length", "0"))))


class AsyncClient:
    """As `Client`, with the same arguments and methods, each of which is awaited. `watch` is for `async for`."""

    def __init__(
        self,
        socket: str = DEFAULT_SOCKET,
        *,
        address: tuple[str, int] | None = None,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        if (address is None) != (tls is None):
            raise ValueError("address and tls go together: ssod speaks TLS alone over the network")
        self.socket = socket
        self.address = address
        self.tls = tls
        self.server_name = server_name or (address[0] if address else None)
        self.timeout = timeout
        self._line = _Line(self)
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        async with self._turn:
            self._line.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.address is None:
            return await asyncio.open_unix_connection(self.socket)
        return await asyncio.open_connection(*self.address, ssl=self.tls, server_hostname=self.server_name)

    async def _ask(self, question: Question[T]) -> T:
        async with self._turn:
            response = await self._line.ask(question)
        return question.take(response)

    async def get_config(self, application: str, name: str, *, reveal: bool = True) -> Config:
        return await self._ask(exchange.get_config(application, name, reveal=reveal))

    async def get_credentials(self, application: str) -> Credentials:
        return await self._ask(exchange.get_credentials(application))

    async def encrypt(self, application: str, context: str, plaintext: bytes) -> str:
        return await self._ask(exchange.encrypt(application, context, plaintext))

    async def decrypt(self, application: str, context: str, ciphertext: str) -> bytes:
        return await self._ask(exchange.decrypt(application, context, ciphertext))

    async def issue_ticket(self, application: str) -> Ticket:
        return await self._ask(exchange.issue_ticket(application))

    async def redeem_ticket(self, application: str, ticket: str, *, sender: str | None = None) -> Credentials:
        return await self._ask(exchange.redeem_ticket(application, ticket, sender))

    async def watch(self, application: str, name: str, *, reveal: bool = True, wait: float = 30.0) -> AsyncIterator[Config]:
        """As Client.watch; close the iterator (contextlib.aclosing), or let its task be cancelled, to end it."""
        line, watch = _Line(self), Watch(application, name, reveal=reveal, wait=wait)
        try:
            while True:
                try:
                    response = await line.ask(watch.question(), watch.patience)
                    config = watch.take(response)
                except (Unreachable, Unavailable):
                    await asyncio.sleep(RETRY_PAUSE)  # nobody tells that ssod is back
                    continue
                if config is not None:
                    yield config
                elif watch.is_idle(response):
                    await asyncio.sleep(RETRY_PAUSE)  # ssod did not wait: not to be asked at full speed
        finally:
            line.close()
