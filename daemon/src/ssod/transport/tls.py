"""TLS 1.3 only, both sides verified, one CA. There is no switch here that verifies less."""

from __future__ import annotations

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ssod.config import TlsConfig
from ssod.core.certificates import key_of, serial_of


def _context(protocol: int, files: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(files.ca)
    context.load_cert_chain(files.certificate, files.key)
    return context


def server_context(files: TlsConfig) -> ssl.SSLContext:
    """For the face. Raises OSError or ssl.SSLError when a file is missing or wrong."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, files)
    context.num_tickets = 0  # no resumption: a new connection meets the CA of now
    return context


def client_context(files: TlsConfig) -> ssl.SSLContext:
    """For the client; it checks the other's name too."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, files)


class Identity(NamedTuple):
    """This server's own certificate, and the CAs by which it checks others'. Hashes are SHA-256 in hex.

    `key` is that of the public key, `issuer` that of the CA among `authorities` which issued the certificate, None when none did.
    """

    key: str
    serial: str
    expires_at: datetime
    issuer: str | None
    authorities: tuple[str, ...]


def identity(files: TlsConfig) -> Identity:
    """As the files say now. Raises OSError or ValueError."""
    certificate = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
    authorities = x509.load_pem_x509_certificates(Path(files.ca).read_bytes())
    issuer = next((_fingerprint(each) for each in authorities if _issued_by(certificate, each)), None)
    return Identity(
        key_of(certificate),
        serial_of(certificate),
        certificate.not_valid_after_utc,
        issuer,
        tuple(map(_fingerprint, authorities)),
    )


def key_of_peer(tls: ssl.SSLObject) -> str:
    """The SHA-256 of the public key in the other side's verified certificate, in hex: by that a certificate is refused."""
    shown = tls.getpeercert(binary_form=True)
    assert shown is not None  # noqa: S101  CERT_REQUIRED: there is no handshake without one
    return key_of(x509.load_der_x509_certificate(shown))


def _fingerprint(certificate: x509.Certificate) -> str:
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def certificate_problem(files: TlsConfig, name: str, now: datetime | None = None) -> str | None:
    """Why this server's certificate is of no use to a master; None when it is."""
    try:
        certificate = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
        authorities = x509.load_pem_x509_certificates(Path(files.ca).read_bytes())
    except (OSError, ValueError) as error:
        return f"its certificate cannot be read: {error}"
    moment = now or datetime.now(UTC)
    if moment > certificate.not_valid_after_utc:
        return f"its certificate expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    if moment < certificate.not_valid_before_utc:
        return f"its certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}: check the clock"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    if name not in names:
        return f"its certificate is for {', '.join(names) or 'nobody'}, not for {name}"
    if not any(_issued_by(certificate, authority) for authority in authorities):
        return "its certificate was not issued by the CA of this environment"
    return None


def _issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # cryptography raises three unrelated types here, each of which means no
        return False
    return True
