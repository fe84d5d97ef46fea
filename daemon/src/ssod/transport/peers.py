"""The client to the other servers: mutual TLS to the name that is enrolled, and short limits on silence."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

import httpcore
import msgspec

from ssod.core.keyring import BadKeyring, Keyring
from ssod.errors import UNREADABLE, CertificateRevoked, NotEnrolled
from ssod.service.ports import Fetched, Noticed, PeerFailed, PeerRefused, PeerRenewed
from ssod.storage.records import ServerRecord
from ssod.transport.tls import key_of_peer

CONNECT_SECONDS = 2.0
# Beyond the wait that the master was asked for.
ANSWER_SECONDS = 5.0
# A connection that nobody uses is closed after this.
IDLE_SECONDS = 5.0

# A master whose host lost its power says nothing at all: the kernel asks after 4 s of silence, and gives up 4 s later.
_KEEPALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 4),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 6000),
]


class NoticeAnswer(msgspec.Struct):
    name: str
    attached: bool
    key_id: str | None
    epoch: int
    version: str
    held_key_ids: list[str] = []
    sealed_key_id: str | None = None


class _ProblemDocument(msgspec.Struct):
    type: str = ""
    detail: str = "no reason given"


class HttpPeers:
    """One connection pool; `renew` after the certificates have changed."""

    def __init__(self, context: Callable[[], ssl.SSLContext], refuse_revoked: Callable[[str], None] = lambda _: None) -> None:
        self._context = context
        self._refuse_revoked = refuse_revoked
        self._client = self._new()

    def _new(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            self._context(), max_connections=None, keepalive_expiry=IDLE_SECONDS, socket_options=_KEEPALIVE
        )

    async def renew(self) -> None:
        old, self._client = self._client, self._new()
        await old.aclose()

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(
        self,
        server: ServerRecord,
        method: str,
        path: str,
        seconds: float,
        *,
        body: bytes | None = None,
        etag: str | None = None,
    ) -> httpcore.Response:
        headers: dict[bytes | str, bytes | str] = {"content-type": "application/json"} if body is not None else {}
        if etag is not None:
            headers["if-none-match"] = etag
        connect = min(CONNECT_SECONDS, seconds)
        client = self._client
        try:
            response = await client.request(
                method,
                f"https://{server.address}{path}",
                content=body,
                headers=headers,
                extensions={
                    "timeout": {"connect": connect, "read": seconds, "write": seconds, "pool": seconds},
                    # The certificate must carry the enrolled name, whatever the address is.
                    "sni_hostname": server.name,
                },
            )
        except httpcore.TimeoutException:
            raise PeerFailed(f"no answer from {server.name} ({server.address})") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, RuntimeError, ValueError, OverflowError) as error:
            if client is not self._client:  # closed under this request by `renew`
                raise PeerRenewed from None
            raise PeerFailed(f"{server.name} ({server.address}) cannot be reached: {_short(error)}") from None
        try:
            self._refuse_revoked(key_of_peer(response.extensions["network_stream"].get_extra_info("ssl_object")))
        except CertificateRevoked as error:  # nothing that it says is believed
            raise PeerFailed(f"{server.name} ({server.address}) is not believed: {error.detail}") from None
        if response.status in (200, 304):
            return response
        problem = _problem(response.content)
        refused = problem.type.rpartition(":")[2] in (CertificateRevoked.problem, NotEnrolled.problem)
        raise (PeerRefused if refused else PeerFailed)(f"{server.name} answered {response.status}: {problem.detail}")

    async def fetch(self, master: ServerRecord, etag: str | None, wait: float) -> Fetched:
        response = await self._ask(
            master, "GET", f"/v1/peer/keyring?wait={wait:.0f}", wait + ANSWER_SECONDS, etag=etag if etag else '"none"'
        )
        try:
            epoch = int(dict(response.headers)[b"holdfast-epoch"])  # ssod writes its headers in lower case
            keyring = Keyring.from_document(response.content) if response.status == 200 else None
        except (KeyError, ValueError, BadKeyring) as error:
            raise PeerFailed(f"{master.name} answered with no keyring: {error}") from None
        return Fetched(epoch, keyring)

    async def notify(self, server: ServerRecord, master: str, epoch: int, timeout: float) -> Noticed:
        started = time.monotonic()
        body = msgspec.json.encode({"master": master, "epoch": epoch})
        try:
            response = await self._ask(server, "POST", "/v1/peer/notice", timeout, body=body)
            said = notice_answer(response.content)
        except (PeerFailed, PeerRenewed, *UNREADABLE) as error:
            return Noticed(server.name, False, False, None, None, time.monotonic() - started, str(error))
        took = time.monotonic() - started
        detail = None if said.attached else f"{server.name} was told, and is not attached"
        return Noticed(
            server.name, True, said.attached, said.key_id, said.epoch, took, detail, said.held_key_ids, said.sealed_key_id
        )


def notice_answer(content: bytes) -> NoticeAnswer:
    """Raises UNREADABLE."""
    return msgspec.json.decode(content, type=NoticeAnswer)


def _short(error: Exception) -> str:
    return str(error) or type(error).__name__


def _problem(content: bytes) -> _ProblemDocument:
    try:
        return msgspec.json.decode(content, type=_ProblemDocument)
    except UNREADABLE:
        return _ProblemDocument()
