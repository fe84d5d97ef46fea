"""The envelope: the bytes and the text that a value becomes, as docs/envelope-format.md specifies.

It decides what is well-formed and binds a value to the place where it lives; it chooses no key and no nonce.
"""

from __future__ import annotations

import binascii
import struct
from typing import NamedTuple

from ssod.core.aead import NONCE_BYTES, TAG_BYTES, DoesNotOpen, Xaes256Gcm
from ssod.errors import CiphertextRejected

VERSION = 1
KEY_ID_BYTES = 16
TEXT_PREFIX = "hf1."
HEADER_BYTES = 1 + KEY_ID_BYTES
SMALLEST = HEADER_BYTES + NONCE_BYTES + TAG_BYTES

_VERSION_BYTE = bytes([VERSION])
_length = struct.Struct(">I").pack
_TO_URL = bytes.maketrans(b"+/", b"-_")
# What base64 has and base64url has not becomes what neither has, and is refused by the decoder.
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
# The padding that a text has lost, and the last characters that leave no stray bits, by its length modulo 4.
# (Modulo 1, which no text has, is refused by the decoder.)
_ANY_LAST = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_ENDINGS = ((b"", _ANY_LAST), (b"", _ANY_LAST), (b"==", frozenset(b"AQgw")), (b"=", frozenset(b"AEIMQUYcgkosw048")))


class Place(NamedTuple):
    """Where a value lives. A ciphertext that is moved to another place does not open."""

    application: str
    kind: str
    name: str
    field: str


def associated_data(place: Place) -> bytes:
    """Canonical encoding of a place: each part as its length (32 bits, big-endian) and its UTF-8 bytes."""
    application, kind, name, field = place
    a, k, n, f = application.encode(), kind.encode(), name.encode(), field.encode()
    return b"".join((_length(len(a)), a, _length(len(k)), k, _length(len(n)), n, _length(len(f)), f))


def seal(cipher: Xaes256Gcm, key_id: bytes, nonce: bytes, associated: bytes, plaintext: bytes) -> bytes:
    """Returns `version(1) ‖ key id(16) ‖ nonce(24) ‖ ciphertext+tag`."""
    header = _VERSION_BYTE + key_id
    return header + nonce + cipher.seal(nonce, plaintext, header + associated)


def key_id_of(envelope: bytes) -> bytes:
    """The key id that an envelope names. Raises CiphertextRejected for what is no envelope."""
    if len(envelope) < SMALLEST:
        raise CiphertextRejected("the ciphertext is cut off: it is shorter than an empty value's")
    if envelope[0] != VERSION:
        raise CiphertextRejected(f"the ciphertext has version {envelope[0]}; this server reads version {VERSION}")
    return envelope[1:HEADER_BYTES]


def unseal(cipher: Xaes256Gcm, associated: bytes, envelope: bytes) -> bytes:
    """The plaintext. Raises CiphertextRejected when the envelope was altered, or belongs to another place."""
    header = envelope[:HEADER_BYTES]
    nonce = envelope[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES]
    try:
        return cipher.open(nonce, envelope[HEADER_BYTES + NONCE_BYTES :], header + associated)
    except DoesNotOpen:
        raise CiphertextRejected(
            "the ciphertext was altered, or belongs to another application, context, name or field",
            next_step="decrypt it with the same application and context that it was encrypted with",
        ) from None


def to_text(envelope: bytes, prefix: str = TEXT_PREFIX) -> str:
    """`hf1.` and unpadded base64url; a ticket has a prefix of its own, so that nobody takes it for a value."""
    return prefix + binascii.b2a_base64(envelope, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def from_text(text: str, prefix: str = TEXT_PREFIX) -> bytes:
    """The envelope of a text; only the one canonical spelling is read. Raises CiphertextRejected."""
    if not text.startswith(prefix):
        raise CiphertextRejected(f"the ciphertext does not begin with {prefix!r}")
    try:
        body = text[len(prefix) :].encode("ascii")
        padding, last = _ENDINGS[len(body) % 4]
        envelope = binascii.a2b_base64(body.translate(_FROM_URL) + padding, strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raise CiphertextRejected("the ciphertext is not base64url") from None
    # One spelling for each envelope: the bits of the last character that belong to no byte are zero.
    if body and body[-1] not in last:
        raise CiphertextRejected("the ciphertext is not canonical base64url")
    return envelope
