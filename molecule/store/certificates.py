"""Certificates of an environment's own CA for programs on other hosts, and connections that show them."""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from story import Environment

PORT = 7443
_PEM = serialization.Encoding.PEM


class Programs:
    """One certificate a name, and one connection for all that it asks a host."""

    def __init__(self, environment: Environment, names: list[str]) -> None:
        self._environment = environment
        self._directory = environment.state / "control" / "pki"
        self._files = {name: self._issue(name) for name in names}

    def _issue(self, name: str) -> tuple[Path, Path]:
        authority = x509.load_pem_x509_certificate((self._directory / "ca.pem").read_bytes())
        signer = serialization.load_pem_private_key((self._directory / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=10))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        files = (self._environment.state / f"{name}.pem", self._environment.state / f"{name}.key")
        files[0].write_bytes(certificate.public_bytes(_PEM))
        files[1].touch(mode=0o600)
        files[1].write_bytes(key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return files

    def ask_each(self, host: str, name: str, questions: list[tuple[str, str, Any]]) -> list[tuple[int, Any]]:
        """(status, document) of each, asked by the program `name` over mutual TLS."""
        context = ssl.create_default_context(cafile=str(self._directory / "ca.pem"))
        context.load_cert_chain(*self._files[name])
        address = self._environment.variables[host]["ansible_host"]
        connection = http.client.HTTPSConnection(address, PORT, context=context, timeout=30)
        answers = []
        for method, path, body in questions:
            headers = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answers.append((response.status, json.loads(response.read())))
        connection.close()
        return answers
