"""The webhook that is told of events: one request for each, and nothing of its answer but the status."""

from __future__ import annotations

import asyncio
import ssl

import httpcore

from ssod.service.ports import NotDelivered

# From the first packet to the status of the answer.
SECONDS = 5.0


class Webhook:
    """`ca` is a file with the CAs that the webhook's certificate is checked by; None stands for those of the system. `own` is
    what this server shows to a webhook that asks who tells it: a certificate and its key.
    """

    def __init__(self, url: str, ca: str | None, own: tuple[str, str], seconds: float = SECONDS) -> None:
        self._url = url
        self._ca = ca
        self._own = own
        self._seconds = seconds

    async def __call__(self, body: bytes) -> None:
        """Raises NotDelivered. A redirection is not followed: it is no answer that says that somebody was told."""
        try:
            async with asyncio.timeout(self._seconds):
                status = await self._post(body)
        except (TimeoutError, httpcore.TimeoutException):
            raise NotDelivered(f"no answer within {self._seconds:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
            raise NotDelivered(str(error) or type(error).__name__) from None
        if not 200 <= status < 300:
            raise NotDelivered(f"it answered {status}")

    async def _post(self, body: bytes) -> int:
        context = await asyncio.to_thread(self._context)
        headers: dict[bytes | str, bytes | str] = {"content-type": "application/json", "user-agent": "ssod"}
        async with (
            httpcore.AsyncConnectionPool(context) as pool,
            pool.stream("POST", self._url, headers=headers, content=body) as response,
        ):
            return response.status

    def _context(self) -> ssl.SSLContext:
        """Read anew for each message, off the event loop: the system's CAs are many, and a file may have been renewed."""
        context = ssl.create_default_context(cafile=self._ca)
        context.load_cert_chain(*self._own)
        return context
