"""From where the page is reached, and whom it shows the last acts: on localhost by user, over TLS by certificate."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from hashlib import sha256
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from edge import Files, acting_as
from looking import View
from paged import page_port
from servers import Fleet, Server

Look = Callable[..., View]
NOBODY = pwd.getpwnam("nobody").pw_uid


def ask(
    server: Server, path: str, *, uid: int = 0, host: str | None = None, method: str = "GET", port: int | None = None
) -> tuple[int, Any]:
    """What the port of localhost answers to a user of this host; or another port that leads there."""
    connection = HTTPConnection("127.0.0.1", port or page_port(server), timeout=30)
    with acting_as(uid):
        connection.connect()
    try:
        connection.request(method, path, headers={"Host": host} if host is not None else {})
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if "json" in (response.getheader("Content-Type") or "") else content
    finally:
        connection.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as another user")
def test_on_localhost_a_reader_is_known_by_the_kernel_s_word(healthy: Fleet) -> None:
    """As at the unix socket: whose group has the role is shown the acts, anybody else is told who may."""
    _, page = ask(healthy["m1"], "/v1/page")
    assert page["reader"] == {"name": "user:root", "refusal": None}
    assert 0 < len(page["acts"]) <= 20
    assert page["acts"][0].keys() == {"time", "caller", "act", "object", "outcome"}
    _, page = ask(healthy["m1"], "/v1/page", uid=NOBODY)
    assert page["acts"] is None
    assert page["reader"]["name"] == "user:nobody"
    assert page["reader"]["refusal"] == "user:nobody may not read audit: that takes one of SSO Administrator, SSO Auditor"
    status, answer = ask(healthy["m1"], "/v1/page", uid=54321)
    assert (status, answer["type"]) == (403, "urn:holdfast:problem:unknown-caller")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "", "[::1].evil.example", "127.0.0.1.evil.example"]
)
@pytest.mark.parametrize("path", ["/", "/v1/page", "/nothing"])
def test_a_browser_that_was_led_here_by_another_name_is_sent_away(healthy: Fleet, path: str, host: str) -> None:
    """A name that its owner points to this host today (DNS rebinding) would let his page read this one."""
    status, answer = ask(healthy["m1"], path, host=host)
    assert (status, answer["type"]) == (421, "urn:holdfast:problem:wrong-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1:7480", "[::1]:7480", "[::1]"])
def test_a_tunnel_may_have_any_port(healthy: Fleet, host: str) -> None:
    """`ssh -L 9000:127.0.0.1:7480` is opened as http://localhost:9000/."""
    assert ask(healthy["m1"], "/v1/page", host=host)[0] == 200


def test_localhost_is_served_the_page_and_nothing_else(healthy: Fleet) -> None:
    """Not the API: a browser would carry anybody's wishes to it."""
    m1 = healthy["m1"]
    for path in m1.ok("GET", "/v1/openapi.json")["paths"]:
        if path not in {"/", "/v1/page"}:
            assert ask(m1, path)[0] == 404, path
    assert ask(m1, "/v1/page", method="POST")[0] == 405


def test_no_secret_and_no_value_is_in_what_the_page_reads(healthy: Fleet) -> None:
    """The keyring of the server is at hand to compare with."""
    m1 = healthy["m1"]
    m1.ok("PUT", "/v1/applications/app/config/in", {"properties": {"password": "canary-5d1c"}})
    _, keyring = m1.exchange("GET", "/v1/peer/keyring", files=healthy["s1"].files)
    secret = json.loads(keyring)["keys"][0]["secret"]
    shown = json.dumps(ask(m1, "/v1/page")[1])
    assert secret not in shown
    assert "canary-5d1c" not in shown
    assert "change configuration" in shown


def test_over_tls_a_browser_shows_its_certificate(healthy: Fleet, look: Look, issued: Callable[..., Files]) -> None:
    """Anybody whose certificate is of this environment sees the page; one without the role is told who sees the acts."""
    m1 = healthy["m1"]
    view = look(**over_tls(m1, issued("stranger")))
    view.title_begins("\u2714 attached")
    view.shows("#acts-note", "Shown to those who may read the audit log. certificate:stranger may not read audit")
    assert view.acts() == []
    view = look(**over_tls(m1, issued("admin")))
    view.title_begins("\u2714 attached")
    view.shows("#acts td", "enrol server")
    view.shows("#reader", "You are certificate:admin")


def test_a_refusal_is_explained_in_the_page(healthy: Fleet, look: Look, issued: Callable[..., Files]) -> None:
    """Of a certificate that is revoked while somebody looks."""
    m1, files = healthy["m1"], issued("leaver")
    view = look(**over_tls(m1, files))
    view.outage = True
    view.title_begins("\u2714 attached")
    m1.ok("PUT", f"/v1/revocations/{key_of(files)}", {"name": "leaver", "serial": "1", "expires_at": "2100-01-01T00:00:00Z"})
    view.shows("#lost", "It refuses: the certificate of leaver has been revoked since ")
    assert "Holdfast" in view.page.title()


def over_tls(server: Server, files: Files) -> dict[str, Any]:
    origin = f"https://127.0.0.1:{server.port}"
    shown = {"origin": origin, "certPath": str(files[0]), "keyPath": str(files[1])}
    # The CA is the tests' own, which Chromium does not know.
    return {"url": f"{origin}/", "client_certificates": [shown], "ignore_https_errors": True}


def key_of(files: Files) -> str:
    """The SHA-256 of a certificate's public key, as the API names it."""
    key = x509.load_pem_x509_certificate(files[0].read_bytes()).public_key()
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def test_a_port_that_is_taken_costs_the_page_and_nothing_else(healthy: Fleet, tmp_path: Path) -> None:
    """Programs need their secrets also when nobody can look at the page."""
    m1 = healthy["m1"]
    other = type(m1)(tmp_path, m1.authority, "s8", healthy.url, may_become_master=False)
    other.config.write_text(other.config.read_text().replace(str(page_port(other)), str(page_port(m1))))
    try:
        other.start()
        assert f"the status page is not served at 127.0.0.1:{page_port(m1)}: " in other.log.read_text()
        assert ask(m1, "/v1/page")[1]["status"]["server"]["name"] == "m1"
    finally:
        other.stop()
