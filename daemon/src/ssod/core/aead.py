"""XAES-256-GCM as C2SP specifies it (c2sp.org/XAES-256-GCM): the one file that touches AEAD.

A 256-bit key and a 192-bit random nonce: random nonces stay safe at any volume. For each nonce, a subkey is
derived from its first half by the CMAC-based KDF of NIST SP 800-108r1, and its second half is the AES-GCM nonce.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 24
TAG_BYTES = 16

# Times a number of 128 bits: that number twice, side by side.
_BOTH_BLOCKS = 1 << 128 | 1


class DoesNotOpen(Exception):
    """Key, nonce, associated data or ciphertext are not the ones that belong together."""


class Xaes256Gcm:
    """One key, ready to use. Not for use from two threads at once: it keeps one AES context.

    Source: C2SP XAES-256-GCM v1.0.0; its vectors are in `tests/vectors/`.
    """

    __slots__ = ("_derive", "_masks")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"XAES-256-GCM takes a key of {KEY_BYTES} bytes")
        # S305: single AES blocks are what the CMAC-based key derivation of the specification is made of.
        self._derive = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update  # noqa: S305
        whole = int.from_bytes(self._derive(bytes(16)), "big")
        subkey = (whole << 1) & ((1 << 128) - 1)
        if whole >> 127:
            subkey ^= 0x87
        # M = 0x00 counter 'X' 0x00 || nonce[:12]; both blocks are masked by the CMAC subkey, so fold the constants into it.
        self._masks = (subkey ^ (0x00015800 << 96)) << 128 | (subkey ^ (0x00025800 << 96))

    def _subkey(self, nonce: bytes) -> AESGCM:
        blocks = int.from_bytes(nonce[:12], "big") * _BOTH_BLOCKS ^ self._masks
        return AESGCM(self._derive(blocks.to_bytes(32, "big")))

    def seal(self, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
        """Returns ciphertext and tag, `len(plaintext) + 16` bytes. `nonce` is 24 random bytes, never used again."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"XAES-256-GCM takes a nonce of {NONCE_BYTES} bytes")
        return self._subkey(nonce).encrypt(nonce[12:], plaintext, associated)

    def open(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """Returns the plaintext, or raises DoesNotOpen; never a part of it."""
        if len(nonce) != NONCE_BYTES or len(ciphertext) < TAG_BYTES:
            raise DoesNotOpen
        try:
            return self._subkey(nonce).decrypt(nonce[12:], ciphertext, associated)
        except InvalidTag:
            raise DoesNotOpen from None
