"""The sealed copy of the keyring on this host's disk.

The keyring is sealed under a sealing key of this host alone: with `systemd-creds` that key is a systemd credential, encrypted
by root to the host key (and the TPM, where there is one) and given to the service by systemd; with `file` it is a 0600 file.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from ssod.core.aead import KEY_BYTES, NONCE_BYTES, DoesNotOpen, Xaes256Gcm
from ssod.core.keyring import BadKeyring, Keyring, Random
from ssod.core.secretbytes import SecretBytes
from ssod.errors import ConfigurationRefused

MAGIC: Final = b"holdfast sealed keyring 1\n"
CREDENTIAL: Final = "sealing-key"


class SealBroken(Exception):
    """A sealed copy that does not open with this host's sealing key."""


def write_atomically(path: Path, content: bytes) -> None:
    """0600, complete or not at all, and on the disk when it returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def sealing_key_from_credential(directory: str | None) -> SecretBytes:
    """The systemd credential `sealing-key`; `directory` is what systemd names in CREDENTIALS_DIRECTORY."""
    missing = "the unit needs LoadCredentialEncrypted=sealing-key:..., which the server role writes"
    if directory is None:
        raise ConfigurationRefused("sealing.provider is systemd-creds, and systemd gave no credentials", conditions=[missing])
    try:
        key = Path(directory, CREDENTIAL).read_bytes()
    except OSError:
        raise ConfigurationRefused(
            "sealing.provider is systemd-creds, and there is no credential sealing-key", conditions=[missing]
        ) from None
    if len(key) != KEY_BYTES:
        raise ConfigurationRefused(f"the credential sealing-key is not {KEY_BYTES} bytes long", conditions=[missing])
    return SecretBytes(key)


def sealing_key_from_file(path: Path, random: Random) -> SecretBytes:
    """The key in a 0600 file, made when there is none: for tests and containers."""
    if not path.exists():
        write_atomically(path, random(KEY_BYTES))
    return SecretBytes(path.read_bytes())


class SealedCopy:
    """Reads and writes the one sealed file. Blocks; call it off the event loop."""

    def __init__(self, path: Path, key: SecretBytes, random: Random) -> None:
        self._path = path
        self._cipher = Xaes256Gcm(key.reveal())
        self._random = random
        self._one_at_a_time = threading.Lock()

    def write(self, keyring: Keyring) -> None:
        # A refresh and an activation may both seal: on threads of their own, by one cipher, through one temporary file.
        with self._one_at_a_time:
            nonce = self._random(NONCE_BYTES)
            write_atomically(self._path, MAGIC + nonce + self._cipher.seal(nonce, keyring.document(), MAGIC))

    def read(self) -> Keyring | None:
        """None when there is no sealed copy. Raises SealBroken when there is one that does not open."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        nonce, sealed = content[len(MAGIC) : len(MAGIC) + NONCE_BYTES], content[len(MAGIC) + NONCE_BYTES :]
        try:
            if not content.startswith(MAGIC):
                raise DoesNotOpen
            return Keyring.from_document(self._cipher.open(nonce, sealed, MAGIC))
        except (DoesNotOpen, BadKeyring, ValueError):
            raise SealBroken(f"{self._path} does not open with this host's sealing key") from None
