"""The keys that seal this host's copy of the keyring: which there are, by name, and what each of them does.

A name says where the key is kept: `sealing-key` and what begins so are systemd credentials, encrypted by root to the host's key or
to its TPM2 and given to the service by systemd; `file` is a 0600 file in the state directory; `pkcs11` is a key on a token.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol

from ssod.core.aead import KEY_BYTES, NONCE_BYTES, Xaes256Gcm
from ssod.core.keyring import Random
from ssod.core.secretbytes import SecretBytes
from ssod.errors import ConfigurationRefused
from ssod.seal.files import write_atomically

CREDENTIAL: Final = "sealing-key"
PIN_CREDENTIAL: Final = "sealing-pin"
FILE: Final = "file"
TOKEN: Final = "pkcs11"  # noqa: S105  the name of a key


class SealUnavailable(OSError):
    """A sealing key that cannot be used now: its token is not there, or has refused the PIN. The message is the reason."""


class SealingKey(Protocol):
    @property
    def name(self) -> str: ...

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """Raises SealUnavailable."""

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Raises DoesNotOpen, SealUnavailable."""


def sealed_under(key: SecretBytes, plaintext: bytes, associated: bytes, random: Random) -> bytes:
    """A nonce and the ciphertext under a key that is in memory."""
    nonce = random(NONCE_BYTES)
    return nonce + Xaes256Gcm(key.reveal()).seal(nonce, plaintext, associated)


def opened_with(key: SecretBytes, sealed: bytes, associated: bytes) -> bytes:
    """Raises DoesNotOpen."""
    return Xaes256Gcm(key.reveal()).open(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)


class KeyInMemory:
    """One that systemd, or a file, has given this process."""

    def __init__(self, name: str, key: SecretBytes, random: Random) -> None:
        self.name = name
        self._key = key
        self._random = random

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        return sealed_under(self._key, plaintext, associated, self._random)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        return opened_with(self._key, sealed, associated)


def keys_from_credentials(directory: str | None, wanted: str | None, random: Random) -> list[SealingKey]:
    """Every sealing key that systemd gave; `directory` is what it names in CREDENTIALS_DIRECTORY, `wanted` has to be there."""
    if wanted is not None:
        missing = f"the unit needs LoadCredentialEncrypted={wanted}:..., which the server role writes"
        if directory is None:
            raise ConfigurationRefused("sealing.provider is systemd-creds, and systemd gave no credentials", conditions=[missing])
        if not Path(directory, wanted).is_file():
            raise ConfigurationRefused(
                f"sealing.provider is systemd-creds, and there is no credential {wanted}", conditions=[missing]
            )
    keys: list[SealingKey] = []
    for path in sorted(Path(directory).glob(f"{CREDENTIAL}*")) if directory is not None else []:
        key = path.read_bytes()
        if len(key) == KEY_BYTES:
            keys.append(KeyInMemory(path.name, SecretBytes(key), random))
        elif path.name == wanted:
            raise ConfigurationRefused(
                f"the credential {wanted} is not {KEY_BYTES} bytes long",
                conditions=["make it with `ssoctl sealing create`, which the server role does"],
            )
    return keys


def key_from_file(path: Path, random: Random, *, make: bool) -> SealingKey | None:
    """The key in a 0600 file, for tests and containers; made, or None, where there is none."""
    if not path.exists():
        if not make:
            return None
        write_atomically(path, random(KEY_BYTES))
    return KeyInMemory(FILE, SecretBytes(path.read_bytes()), random)
