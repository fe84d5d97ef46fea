"""Reads a certificate from a file, for `ssoctl servers revoke`."""

from __future__ import annotations

from pathlib import Path

from ssod.cli.errors import UsageRefused


def read_certificate(file: Path) -> tuple[str, dict[str, str]]:
    """The SHA-256 of its public key, and what the API takes of it beside that."""
    from cryptography import x509  # takes its time to load, and most commands need none of it

    from ssod.core.certificates import key_of, serial_of

    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        name = names.get_values_for_type(x509.DNSName)[0]
    except (OSError, ValueError, x509.ExtensionNotFound, IndexError) as error:
        raise UsageRefused(f"{file} is no certificate with a DNS name: {error}") from None
    return key_of(certificate), {
        "name": name,
        "serial": serial_of(certificate),
        "expires_at": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }
