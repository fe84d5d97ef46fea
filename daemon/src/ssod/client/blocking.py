"""The client for programs that wait for an answer: one connection, kept, for all threads in turn."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from . import exchange
from .answers import Config, Credentials, Ticket
from .errors import Unavailable, Unreachable
from .exchange import Question, Response, Watch

T = TypeVar("T")

DEFAULT_SOCKET = "/run/ssod/ssod.sock"
# More than ssod waits for a database that has vanished.
DEFAULT_TIMEOUT = 15.0
# Between two attempts of a watch, while there is nobody to ask (seconds).
RETRY_PAUSE = 1.0


class _Connection(http.client.HTTPConnection):
    def __init__(self, client: Client) -> None:
        super().__init__("ssod", timeout=client.timeout)
        self._client = client

    def connect(self) -> None:
        client = self._client
        if client.address is None:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            made = socket.create_connection(client.address, self.timeout)
        try:
            made.settimeout(self.timeout)
            if client.address is None:
                made.connect(client.socket)
            else:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                assert client.tls is not None  # noqa: S101  Client refuses an address without it
                made = client.tls.wrap_socket(made, server_hostname=client.server_name)
        except BaseException:
            made.close()
            raise
        self.sock = made


class _Line:
    """One connection to ssod: made when it is needed, kept, and made anew once when it was closed meanwhile."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._connection: _Connection | None = None
        self._process = 0

    def ask(self, question: Question[T], patience: float = 0.0) -> Response:
        """`patience`: seconds that the answer may take beyond the ordinary. Raises Unreachable."""
        # A connection that a fork has copied is its parent's.
        kept = self._connection if question.repeatable and self._process == os.getpid() else None
        if kept is not None:
            with suppress(ConnectionError, http.client.BadStatusLine):  # closed while it was idle, by its other end
                return self._exchange(kept, question, patience)
        self.close()
        connection = _Connection(self._client)
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(f"ssod cannot be reached: {error.strerror or error}", perhaps_done=False) from None
        self._connection, self._process = connection, os.getpid()
        try:
            return self._exchange(connection, question, patience)
        except (ConnectionError, http.client.BadStatusLine) as error:
            raise self._lost(type(error).__name__) from None

    def _exchange(self, connection: _Connection, question: Question[T], patience: float) -> Response:
        try:
            connection.sock.settimeout(self._client.timeout + patience)
            connection.putrequest(question.method, question.target, skip_host=True, skip_accept_encoding=True)
            for name, value in question.headers.items():
                connection.putheader(name, value)
            connection.endheaders(question.body)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, headers, response.read())
        except BaseException as error:
            self.close()  # what would come on this connection next is the answer to this question
            if isinstance(error, ConnectionError | http.client.BadStatusLine) or not isinstance(
                error, OSError | http.client.HTTPException
            ):
                raise
            raise self._lost(str(error) or type(error).__name__) from None

    @staticmethod
    def _lost(why: str) -> Unreachable:
        return Unreachable(f"the connection to ssod was lost: {why}", perhaps_done=True)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Client:
    """Over the unix socket of this host's ssod; with `address` and `tls` over mutual TLS, to the server of the name `server_name`.

    Threads may share one: their questions are asked one after the other. Every method raises a child of HoldfastError.
    """

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
        self._turn = threading.Lock()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        with self._turn:
            self._line.close()

    def _ask(self, question: Question[T]) -> T:
        with self._turn:
            response = self._line.ask(question)
        return question.take(response)

    def get_config(self, application: str, name: str, *, reveal: bool = True) -> Config:
        """With its masked values, which is audited as a disclosure; without them if `reveal` is False."""
        return self._ask(exchange.get_config(application, name, reveal=reveal))

    def get_credentials(self, application: str) -> Credentials:
        """The caller's own. Raises MappingNotFound, MappingDisabled, NoCredentials."""
        return self._ask(exchange.get_credentials(application))

    def encrypt(self, application: str, context: str, plaintext: bytes) -> str:
        """Raises Detached while nothing new can be encrypted."""
        return self._ask(exchange.encrypt(application, context, plaintext))

    def decrypt(self, application: str, context: str, ciphertext: str) -> bytes:
        """Raises CiphertextRejected, UnknownKeyId."""
        return self._ask(exchange.decrypt(application, context, ciphertext))

    def issue_ticket(self, application: str) -> Ticket:
        """For the caller, to be redeemed by who acts in its name."""
        return self._ask(exchange.issue_ticket(application))

    def redeem_ticket(self, application: str, ticket: str, *, sender: str | None = None) -> Credentials:
        """The credentials of who issued it: of `sender`, where the application wants that validated. Raises TicketRejected."""
        return self._ask(exchange.redeem_ticket(application, ticket, sender))

    def watch(self, application: str, name: str, *, reveal: bool = True, wait: float = 30.0) -> Iterator[Config]:
        """The configuration as it is, then each new one within a second of its change; without an end.

        It waits out whatever passes: a restart of ssod, a lost database. A lasting refusal, as NotAllowed or NotFound, ends it.
        It has a connection of its own, so that this client can be asked meanwhile.
        """
        line, watch = _Line(self), Watch(application, name, reveal=reveal, wait=wait)
        try:
            while True:
                try:
                    response = line.ask(watch.question(), watch.patience)
                    config = watch.take(response)
                except (Unreachable, Unavailable):
                    time.sleep(RETRY_PAUSE)  # nobody tells that ssod is back
                    continue
                if config is not None:
                    yield config
                elif watch.is_idle(response):
                    time.sleep(RETRY_PAUSE)  # ssod did not wait: not to be asked at full speed
        finally:
            line.close()
