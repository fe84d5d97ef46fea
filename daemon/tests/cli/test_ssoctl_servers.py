"""`ssoctl servers` enrols servers and removes them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fake_ssod import FakeSsod, problem
from pki import Authority
from ssoctl_harness import Ssoctl, server_document, status_document

KEY = "ab" * 32
REVOCATION = {
    "name": "s2",
    "key": KEY,
    "serial": "1f",
    "expires_at": "2027-11-23T10:00:00Z",
    "revoked_at": "2026-11-23T10:00:00Z",
}


def test_list_shows_every_server_with_its_role(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers |= {"GET /v1/servers": {"servers": status_document()["servers"]}, "GET /v1/status": status_document()}
    out = ssoctl("servers", "list").out
    assert [line.split()[:3:2] for line in out.splitlines() if ".example" in line] == [
        ["m1", "master"],
        ["s1", "standby"],
        ["s2", "server"],
    ]


def test_list_as_json_is_the_daemons_document(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/servers"] = {"servers": [server_document("m1")]}
    assert json.loads(ssoctl("servers", "list", "--json").out) == {"servers": [server_document("m1")]}


def test_enrol_sends_address_and_standing(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/servers/m2"] = server_document("m2")
    finished = ssoctl("servers", "enrol", "m2", "m2.example:7443", "--may-become-master")
    assert (finished.code, finished.out) == (0, "m2 at m2.example:7443 is enrolled, as a standby\n")
    assert fake.requests[0].body == {"address": "m2.example:7443", "may_become_master": True}


def test_an_ordinary_server_is_enrolled_unless_said_otherwise(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["PUT /v1/servers/s2"] = server_document("s2", may_become_master=False)
    assert ssoctl("servers", "enrol", "s2", "s2.example:7443").out.endswith("as a server\n")
    assert fake.requests[0].body["may_become_master"] is False


def test_a_name_is_quoted_into_the_path(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    ssoctl("servers", "enrol", "a/../b?c", "x:1")
    assert fake.asked() == ["PUT /v1/servers/a%2F..%2Fb%3Fc"]


def test_remove_without_a_terminal_needs_yes(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("servers", "remove", "s2").code == 2
    assert fake.requests == []


def test_remove_with_yes(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["DELETE /v1/servers/s2"] = {"revoked": [REVOCATION]}
    finished = ssoctl("servers", "remove", "s2", "--yes")
    assert (finished.code, finished.out.splitlines()[0]) == (0, "s2 is removed, and 1 certificate of it refused everywhere")
    assert json.loads(ssoctl("servers", "remove", "s2", "--yes", "--json").out) == {"revoked": [REVOCATION]}


def test_revoked_shows_whose_certificates_are_refused(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/revocations"] = {"revocations": [REVOCATION]}
    assert ssoctl("servers", "revoked").out.splitlines()[-1].split() == [
        "s2",
        REVOCATION["revoked_at"],
        REVOCATION["expires_at"],
        "1f",
        KEY,
    ]
    assert json.loads(ssoctl("servers", "revoked", "--json").out) == {"revocations": [REVOCATION]}


def test_revoke_reads_the_certificate_from_its_file(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """Its public key, name, serial number and end; and never the key beside it."""
    certificate, _ = Authority().issue(tmp_path, "job")
    shown = x509.load_pem_x509_certificate(certificate.read_bytes())
    spki = shown.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = hashlib.sha256(spki).hexdigest()
    fake.answers[f"PUT /v1/revocations/{key}"] = {}
    assert ssoctl("servers", "revoke", str(certificate)).code == 2
    finished = ssoctl("servers", "revoke", str(certificate), "--yes")
    assert (finished.code, fake.requests[0].body["name"]) == (0, "job")
    assert fake.requests[0].body["serial"] == f"{shown.serial_number:x}"
    assert f"ssoctl servers restore {key}" in finished.out
    fake.answers[f"DELETE /v1/revocations/{key}"] = {}
    assert ssoctl("servers", "restore", key, "--yes").code == 0


def test_what_is_no_certificate_is_not_revoked(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("hello")
    assert ssoctl("servers", "revoke", str(tmp_path / "no.pem"), "--yes").code == 2
    assert ssoctl("servers", "revoke", str(tmp_path / "missing.pem"), "--yes").code == 2
    assert fake.requests == []


def test_removing_a_server_that_is_not_there_is_exit_code_4(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["DELETE /v1/servers/s9"] = problem(404, "server-not-found")
    assert ssoctl("servers", "remove", "s9", "--yes").code == 4
