"""XAES-256-GCM is C2SP's: its own vectors, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssod.core.aead import KEY_BYTES, NONCE_BYTES, TAG_BYTES, DoesNotOpen, Xaes256Gcm

PUBLISHED = json.loads((Path(__file__).parents[1] / "vectors" / "xaes-256-gcm.json").read_text())
VECTORS = [pytest.param(vector, id=vector["comment"]) for vector in PUBLISHED["vectors"]]

# One iteration reads at most this much of the stream: key, nonce, and two byte strings of up to 255 with a length byte each.
MOST_BYTES = KEY_BYTES + NONCE_BYTES + 2 * 256


def stream(iterations: int) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """(key, nonce, plaintext, associated) as the specification reads them from SHAKE-128 of nothing."""
    # hashlib gives SHAKE's output only as a whole.
    content = memoryview(hashlib.shake_128(b"").digest(iterations * MOST_BYTES))
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        return bytes(content[at - count : at])

    for _ in range(iterations):
        yield take(KEY_BYTES), take(NONCE_BYTES), take(take(1)[0]), take(take(1)[0])


def accumulated(iterations: int) -> str:
    digest = hashlib.shake_128()
    for key, nonce, plaintext, associated in stream(iterations):
        cipher = Xaes256Gcm(key)
        sealed = cipher.seal(nonce, plaintext, associated)
        assert cipher.open(nonce, sealed, associated) == plaintext
        digest.update(sealed)
    return digest.hexdigest(32)


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_vector_seals_to_its_ciphertext_and_opens_again(vector: dict[str, Any]) -> None:
    """Each published vector seals to exactly the published bytes, and those open to the plaintext."""
    key, nonce, plaintext, associated, ciphertext = (
        bytes.fromhex(vector[part]) for part in ("key", "nonce", "plaintext", "associated", "ciphertext")
    )
    cipher = Xaes256Gcm(key)
    assert cipher.seal(nonce, plaintext, associated) == ciphertext
    assert cipher.open(nonce, ciphertext, associated) == plaintext


def test_the_stream_of_the_accumulated_vectors_is_the_published_one() -> None:
    """The deterministic random numbers begin as the specification says they do."""
    key = next(stream(1))[0]
    assert key.hex().startswith("7f9c2ba4e88f827d616045507605853e")


def test_ten_thousand_random_cases_accumulate_to_the_published_hash() -> None:
    """Ten thousand keys, nonces, lengths and associated data give the published hash of all ciphertexts."""
    assert accumulated(10_000) == PUBLISHED["accumulated"]["10000"]


@pytest.mark.parametrize("length", [0, 16, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """Only 32 bytes are a key."""
    with pytest.raises(ValueError, match="32 bytes"):
        Xaes256Gcm(bytes(length))


@pytest.mark.parametrize("length", [0, 12, NONCE_BYTES - 1, NONCE_BYTES + 1])
def test_a_nonce_of_another_length_neither_seals_nor_opens(length: int) -> None:
    """Only 24 bytes are a nonce: a short one would be a repeated one sooner."""
    cipher = Xaes256Gcm(bytes(KEY_BYTES))
    with pytest.raises(ValueError, match="24 bytes"):
        cipher.seal(bytes(length), b"", b"")
    with pytest.raises(DoesNotOpen):
        cipher.open(bytes(length), bytes(TAG_BYTES), b"")


@pytest.mark.parametrize("length", range(TAG_BYTES))
def test_less_than_a_tag_does_not_open(length: int) -> None:
    """What is shorter than the tag is refused as not opening, not as a defect."""
    with pytest.raises(DoesNotOpen):
        Xaes256Gcm(bytes(KEY_BYTES)).open(bytes(NONCE_BYTES), bytes(length), b"")


def test_one_cipher_gives_the_same_answer_however_often_it_was_used() -> None:
    """The kept AES context carries nothing from one value to the next."""
    cipher = Xaes256Gcm(bytes(KEY_BYTES))
    first = cipher.seal(bytes(NONCE_BYTES), b"value", b"place")
    for number in range(50):
        nonce = number.to_bytes(NONCE_BYTES, "big")
        cipher.open(nonce, cipher.seal(nonce, b"another", b""), b"")
    assert cipher.seal(bytes(NONCE_BYTES), b"value", b"place") == first
