"""The sealed copy of the keyring on this host's disk: one file, opened by the key that it names. docs/sealing.md has its format."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ssod.core.aead import DoesNotOpen
from ssod.core.cached import Vouched
from ssod.core.keyring import BadKeyring, Keyring
from ssod.errors import UNREADABLE
from ssod.seal.files import destroy, write_atomically
from ssod.seal.keys import CREDENTIAL, FILE, SealingKey, SealUnavailable

MAGIC: Final = b"holdfast sealed keyring 1\n"
MAGIC_2: Final = b"holdfast sealed keyring 2\n"
MAGIC_CACHE: Final = b"holdfast sealed cache 1\n"
# The keys that version 1 knew. What it can say is written as version 1, so that the release before opens it after a step back.
_OF_VERSION_1: Final = (CREDENTIAL, FILE)
_LONGEST_NAME: Final = 64


class SealBroken(Exception):
    """A sealed copy that does not open with this host's sealing keys."""


class Kept(NamedTuple):
    """What a sealed copy holds, and under which key. `vouched` is that of a cache alone."""

    keyring: Keyring
    key: str
    vouched: Vouched | None


class Written(NamedTuple):
    """Under which key, and why not under the one that is to seal."""

    key: str
    problem: str | None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    keyring: msgspec.Raw
    vouched: Vouched | None = None


_BROKEN = (DoesNotOpen, BadKeyring, ValueError, *UNREADABLE)


class SealedCopy:
    """Reads and writes the one sealed file. Blocks; call it off the event loop."""

    def __init__(self, path: Path, keys: Sequence[SealingKey]) -> None:
        """`keys[0]` seals; every one of them opens, also one that sealed before the sealing was changed."""
        self._path = path
        self._keys = tuple(keys)
        # A refresh and an activation may both seal: on threads of their own, by one key, through one temporary file.
        self._one_at_a_time = threading.Lock()

    @property
    def seals_with(self) -> str:
        return self._keys[0].name

    @property
    def opens_with(self) -> list[str]:
        return sorted(key.name for key in self._keys)

    def write(self, keyring: Keyring, vouched: Vouched | None = None) -> Written:
        """Seals with the first key. Where that cannot be used, a copy that is under another key still stays under that one. Raises
        OSError, of which SealUnavailable is one.
        """
        with self._one_at_a_time:
            first = self._keys[0]
            try:
                write_atomically(self._path, _sealed(first, keyring, vouched))
                return Written(first.name, None)
            except SealUnavailable as error:
                # Never under a key that the copy has left: whoever changed the sealing may have destroyed it.
                present = self._present()
                if present is None or present is first:
                    raise
                write_atomically(self._path, _sealed(present, keyring, vouched))
                return Written(present.name, str(error))

    def _present(self) -> SealingKey | None:
        """The key that the copy is under now; None when there is no copy, or none that opens."""
        try:
            name = self._open(self._path.read_bytes()).key
        except (OSError, SealBroken, *_BROKEN):
            return None
        return next(key for key in self._keys if key.name == name)

    def read(self) -> Kept | None:
        """None when there is no sealed copy. Raises SealBroken when there is one that does not open; SealUnavailable."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        with self._one_at_a_time:
            try:
                return self._open(content)
            except _BROKEN:
                raise SealBroken(f"{self._path} does not open with this host's sealing key") from None

    def _open(self, content: bytes) -> Kept:
        if content.startswith(MAGIC):
            return self._open_1(content[len(MAGIC) :])
        magic = next((magic for magic in (MAGIC_2, MAGIC_CACHE) if content.startswith(magic)), None)
        end = content.find(b"\n", len(magic), len(magic) + _LONGEST_NAME + 1) if magic is not None else -1
        if magic is None or end < 0:
            raise DoesNotOpen
        name, header, body = content[len(magic) : end].decode("ascii"), content[: end + 1], content[end + 1 :]
        for key in self._keys:
            if key.name == name:
                document = msgspec.json.decode(key.open(body, header), type=_Document)
                if (document.vouched is None) is (magic == MAGIC_CACHE):
                    raise DoesNotOpen
                return Kept(Keyring.from_document(bytes(document.keyring)), name, document.vouched)
        raise SealBroken(f"{self._path} was sealed with {name!r}, and this host has {', '.join(self.opens_with)}")

    def _open_1(self, body: bytes) -> Kept:
        for key in self._keys:
            if key.name in _OF_VERSION_1:
                with suppress(DoesNotOpen):
                    return Kept(Keyring.from_document(key.open(body, MAGIC)), key.name, None)
        raise DoesNotOpen

    def destroy(self) -> None:
        """Raises OSError."""
        with self._one_at_a_time:
            destroy(self._path)


def is_cache(path: Path) -> bool:
    """Whether the file is a plain server's cache, and no copy of one that may become master. Raises OSError."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC_CACHE)) == MAGIC_CACHE
    except FileNotFoundError:
        return False


def _sealed(key: SealingKey, keyring: Keyring, vouched: Vouched | None) -> bytes:
    if vouched is None and key.name in _OF_VERSION_1:
        return MAGIC + key.seal(keyring.document(), MAGIC)
    header = (MAGIC_2 if vouched is None else MAGIC_CACHE) + key.name.encode("ascii") + b"\n"
    return header + key.seal(msgspec.json.encode(_Document(msgspec.Raw(keyring.document()), vouched)), header)
