"""A removed server's certificate is refused at once, everywhere: as a peer, as a client, and on connections that are open."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pki import Authority
from postgres import Postgres
from servers import Fleet, Server
from waiting import wait_for

from ssod.storage.migrations import migrate

AT_ONCE = 1.0


@pytest.fixture
def fleet(tmp_path: Path, authority: Authority, postgres: Postgres) -> Iterator[Fleet]:
    """The master, a standby and two plain servers, on PostgreSQL: each hears of what the others write."""
    url = postgres.url()
    migrate(url)
    made = Fleet(tmp_path, authority, url)
    made.add("m1", "m2", "s1", "s2", administrators=["certificate:s2", "certificate:boss"])
    try:
        made.make_ready()
        yield made
    finally:
        made.stop()


def key_of(certificate: x509.Certificate) -> str:
    return hashlib.sha256(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def processes(servers: list[Server]) -> list[int]:
    return [server.process.pid for server in servers if server.process is not None and server.process.poll() is None]


def ask(connection: http.client.HTTPConnection, path: str = "/v1/health") -> tuple[int, str]:
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, str(json.loads(response.read()).get("type", ""))


def refused(server: Server, files: Any, path: str = "/v1/health") -> bool:
    status, document = server.call("GET", path, files=files)
    return status == 403 and str(document["type"]).endswith(":certificate-revoked")


def test_a_removed_server_is_refused_everywhere_within_a_second(fleet: Fleet) -> None:
    """By each of the others, whatever it asks, on new connections and on open ones; it says itself that it is removed."""
    m1, others, s2 = fleet["m1"], [fleet["m1"], fleet["m2"], fleet["s1"]], fleet["s2"]
    before = processes(others)
    held = [server.connection(s2.files) for server in others]
    assert [ask(connection)[0] for connection in held] == [200] * 3
    assert m1.call("GET", "/v1/peer/keyring", files=s2.files)[0] == 200
    (revocation,) = m1.ok("DELETE", "/v1/servers/s2")["revoked"]
    assert (revocation["name"], revocation["key"]) == ("s2", s2.status()["certificate"]["key"])
    serial = x509.load_pem_x509_certificate(s2.files[0].read_bytes()).serial_number
    assert revocation["serial"] == f"{serial:x}"
    for server in others:
        wait_for(lambda server=server: refused(server, s2.files), f"{server.name} refuses s2", AT_ONCE)
        assert refused(server, s2.files, "/v1/peer/keyring")
        assert refused(server, s2.files, "/v1/servers"), "the role that its certificate has counts no more"
        assert server.ok("GET", "/v1/revocations")["revocations"] == [revocation]
    for connection in held:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(connection)
    wait_for(lambda: s2.status()["certificate"]["revoked"], "s2 knows", AT_ONCE)
    assert s2.status()["sentence"].startswith("REMOVED: this server's certificate has been revoked since 2")
    assert "ssod_certificate_revoked 1.0" in s2.exchange("GET", "/metrics")[1].decode()
    # What it is told: the others do not answer it, and it does not believe that it may encrypt.
    wait_for(lambda: not s2.status()["can_encrypt"], "s2 is detached", 5)
    assert processes(others) == before
    assert all(server.status()["can_encrypt"] for server in others)


def test_a_server_that_starts_while_it_is_removed_is_let_in_nowhere(fleet: Fleet) -> None:
    """It was down when it was removed; it comes back, and is told."""
    m1, m2, s2 = fleet["m1"], fleet["m2"], fleet["s2"]
    s2.stop()
    m1.ok("DELETE", "/v1/servers/s2")
    s2.start()
    wait_for(lambda: s2.status()["sentence"].startswith("REMOVED"), "s2 says so", 10)
    assert s2.status()["key_id"] is None, "it was given no keyring"
    assert refused(m2, s2.files)


def test_a_server_of_its_name_with_another_key_takes_its_place(fleet: Fleet, tmp_path: Path) -> None:
    m1, s2 = fleet["m1"], fleet["s2"]
    old = tuple(file.rename(tmp_path / f"old-{file.name}") for file in s2.files)
    m1.ok("DELETE", "/v1/servers/s2")
    s2.stop()
    fleet.authority.issue(s2.root, "s2")
    s2.start()
    s2.enrol()
    wait_for(lambda: s2.status()["can_encrypt"], "the new s2 is attached", 5)
    assert s2.status()["sentence"].startswith("attached")
    assert m1.call("GET", "/v1/health", files=s2.files)[0] == 200
    assert refused(m1, old)


def test_what_was_refused_stays_refused_without_the_database(fleet: Fleet, postgres: Postgres) -> None:
    """The copy in memory outlives it. One that starts meanwhile knows of nobody, and gives no role to anybody from outside."""
    m1, m2, s1, s2 = (fleet[name] for name in ("m1", "m2", "s1", "s2"))
    boss = fleet.authority.issue(fleet.root, "boss")
    m1.ok("DELETE", "/v1/servers/s2")
    wait_for(lambda: refused(s1, s2.files), "s1 refuses s2", AT_ONCE)
    assert m2.call("GET", "/v1/revocations", files=boss)[0] == 200
    postgres.stop()
    try:
        assert refused(s1, s2.files)
        m2.stop()
        m2.start()
        status, document = m2.call("GET", "/v1/revocations", files=boss)
        assert (status, document["type"]) == (503, "urn:holdfast:problem:database-unavailable")
        assert m2.call("GET", "/v1/health", files=boss)[0] == 200
    finally:
        postgres.start()
    wait_for(lambda: refused(m2, s2.files), "m2 refuses s2 again", 30)
    assert m2.call("GET", "/v1/revocations", files=boss)[0] == 200


def test_a_program_s_certificate_is_revoked_and_taken_back_everywhere(fleet: Fleet) -> None:
    m1, s1 = fleet["m1"], fleet["s1"]
    boss = fleet.authority.issue(fleet.root, "boss")
    shown = x509.load_pem_x509_certificate(boss[0].read_bytes())
    key = key_of(shown)
    body = {"name": "boss", "serial": f"{shown.serial_number:x}", "expires_at": f"{shown.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"}
    m1.ok("PUT", f"/v1/revocations/{key}", body)
    wait_for(lambda: refused(s1, boss), "s1 refuses it", AT_ONCE)
    s1.ok("DELETE", f"/v1/revocations/{key}")
    wait_for(lambda: m1.call("GET", "/v1/servers", files=boss)[0] == 200, "m1 lets it in", AT_ONCE)
    assert s1.refused("DELETE", f"/v1/revocations/{key}")["type"] == "revocation-not-found"
    own = m1.status()["certificate"]["key"]
    assert m1.refused("PUT", f"/v1/revocations/{own}", body)["type"] == "last-certificate"
    assert m1.refused("PUT", f"/v1/revocations/{'g' * 64}", body)["type"] == "invalid-value"
    past = body | {"expires_at": "2020-01-01T00:00:00Z"}
    assert m1.refused("PUT", f"/v1/revocations/{key}", past)["type"] == "invalid-value"


def test_an_impostor_with_a_revoked_certificate_is_not_believed(fleet: Fleet) -> None:
    """A removed standby that stands at the master's address, with a certificate for the master's name, gives nobody a keyring."""
    m1, s1 = fleet["m1"], fleet["s1"]
    stolen = m1.files
    renewed = fleet.authority.issue(fleet.root, "m1")
    key = key_of(x509.load_pem_x509_certificate(stolen[0].read_bytes()))
    # The master shows another key from now on, and the one that it had is revoked.
    old = [file.read_bytes() for file in stolen]
    for file, new in zip(stolen, renewed, strict=True):
        file.write_bytes(new.read_bytes())
    m1.send(1)
    wait_for(lambda: m1.status()["certificate"]["key"] != key, "m1 shows its new certificate", 5)
    body = {"name": "m1", "serial": "1", "expires_at": "2100-01-01T00:00:00Z"}
    wait_for(lambda: m1.call("PUT", f"/v1/revocations/{key}", body)[0] == 200, "the old one is revoked", 5)
    wait_for(lambda: s1.status()["can_encrypt"], "s1 believes the new one", 5)
    # Whoever stole it stands there now.
    for file, content in zip(stolen, old, strict=True):
        file.write_bytes(content)
    m1.send(1)
    wait_for(lambda: "not believed" in s1.ok("POST", "/v1/refresh", {})["server"]["sentence"], "s1 does not believe it", 10)
    assert not s1.status()["can_encrypt"]
