"""The webhook is asked once, its certificate checked, its status believed, and nothing else of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from hooked import listening
from pki import Authority
from postgres import free_port

from ssod.service.ports import NotDelivered
from ssod.transport.webhook import Webhook

Post = Callable[..., None]


@pytest.fixture
def own(authority: Authority, tmp_path: Path) -> tuple[str, str]:
    certificate, key = authority.issue(tmp_path, "m1")
    return str(certificate), str(key)


@pytest.fixture
def post(own: tuple[str, str]) -> Post:
    def post(url: str, ca: Path | None = None, seconds: float = 5.0) -> None:
        asyncio.run(Webhook(url, str(ca) if ca is not None else None, own, seconds)(b'{"version":"4"}'))

    return post


def test_it_gets_the_message_as_json(post: Post) -> None:
    """At the path and the query of its URL."""
    with listening() as listener:
        post(listener.url)
    assert listener.bodies == [b'{"version":"4"}']
    assert listener.paths == ["/events?of=holdfast"]
    assert listener.headers[0]["content-type"] == "application/json"


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_what_is_no_success_told_nobody_and_no_redirection_is_followed(post: Post, status: int) -> None:
    with listening() as listener:
        listener.statuses = [status]
        with pytest.raises(NotDelivered, match=f"it answered {status}"):
            post(listener.url)
    assert len(listener.paths) == 1


def test_nobody_there_is_a_failure(post: Post) -> None:
    with pytest.raises(NotDelivered):
        post(f"http://127.0.0.1:{free_port()}/")


def test_one_that_never_answers_is_given_up_in_time(post: Post, own: tuple[str, str]) -> None:
    """Whether it says nothing, or a byte now and then: the limit is of the whole."""

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"H")
            await asyncio.sleep(0.1)  # the drops are what is tried
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(dripping, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotDelivered):
            await Webhook(f"http://127.0.0.1:{port}/", None, own, 0.5)(b"{}")
        server.close()

    asyncio.run(asyncio.wait_for(story(), 10))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotDelivered, match=r"no answer within 0\.5 s"):
        post(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5)


def test_its_certificate_is_checked_against_the_ca_that_is_named(post: Post, authority: Authority, tmp_path: Path) -> None:
    """By the system's where none is; the name in it counts, and its end."""
    ca, stranger = authority.write(tmp_path / "ca.pem"), Authority("another CA").write(tmp_path / "stranger.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(tmp_path, "hook"))
    with listening(context) as listener:
        post(listener.url, ca)
        for wrong in (stranger, None, tmp_path / "absent"):
            with pytest.raises(NotDelivered):
                post(listener.url, wrong)
        with pytest.raises(NotDelivered):
            post(listener.url.replace("127.0.0.1", "127.0.0.2"), ca)
    expired = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired.load_cert_chain(*authority.issue(tmp_path, "late", days=-1))
    with listening(expired) as listener, pytest.raises(NotDelivered, match="expired"):
        post(listener.url, ca)
    assert listener.bodies == []


def test_one_that_asks_who_tells_it_is_shown_this_servers_certificate(post: Post, authority: Authority, tmp_path: Path) -> None:
    """As the event listener does: nobody else may tell it that the master is lost."""
    ca = authority.write(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(tmp_path, "hook"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca)
    with listening(context) as listener:
        post(listener.url, ca)
    assert listener.bodies == [b'{"version":"4"}']
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger.load_cert_chain(*authority.issue(tmp_path, "hook"))
    stranger.verify_mode = ssl.CERT_REQUIRED
    stranger.load_verify_locations(Authority("another CA").write(tmp_path / "stranger.pem"))
    with listening(stranger) as listener, pytest.raises(NotDelivered):
        post(listener.url, ca)
    assert listener.bodies == []
