"""What a certificate is known by."""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def key_of(certificate: x509.Certificate) -> str:
    """The SHA-256 of its public key, in hex: by that it is refused."""
    return hashlib.sha256(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def serial_of(certificate: x509.Certificate) -> str:
    """Its serial number, in hex."""
    return f"{certificate.serial_number:x}"
