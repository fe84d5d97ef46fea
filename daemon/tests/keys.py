"""Secrets, keyrings and random numbers for the tests, the same ones at every run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ssod.core.keyring import Keyring, MasterSecret
from ssod.core.secretbytes import SecretBytes

CREATED = "2026-01-02T03:04:05Z"


def counting(start: int = 0) -> Callable[[int], bytes]:
    """A source of random bytes that gives others at every call, and the same ones at every run."""
    calls = start

    def random(count: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_128(calls.to_bytes(8, "big")).digest(count)

    return random


def secret_of(key: bytes) -> MasterSecret:
    return MasterSecret(SecretBytes(key), CREATED)


def secret(number: int) -> MasterSecret:
    return secret_of(hashlib.sha256(b"secret %d" % number).digest())


def keyring_of(*numbers: int, epoch: int = 1, environment: str = "environment", backed_up: bool = True) -> Keyring:
    """The first number is the current secret, the others are retired ones."""
    current, *retired = (secret(number) for number in numbers)
    return Keyring(environment, epoch, current, retired, backed_up=backed_up)
