"""The keyring: the current master secret and the retired ones. Frozen; every change makes a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ssod.core import envelope
from ssod.core.aead import KEY_BYTES, NONCE_BYTES, Xaes256Gcm
from ssod.core.envelope import Place
from ssod.core.secretbytes import SecretBytes
from ssod.errors import UNREADABLE, CiphertextRejected, UnknownKeyId

Random = Callable[[int], bytes]

CANARY_TEXT: Final = b"holdfast canary"


def key_id(secret: SecretBytes) -> bytes:
    """HKDF-SHA256(secret, info="holdfast key id"), 16 bytes: public, and commits to the key."""
    return HKDF(hashes.SHA256(), envelope.KEY_ID_BYTES, salt=None, info=b"holdfast key id").derive(secret.reveal())


def _canary_place(name: bytes) -> Place:
    return Place("", "canary", name.hex(), "")


class MasterSecret:
    """One secret of the keyring, ready to seal and open. `created_at` is UTC, RFC 3339."""

    __slots__ = ("cipher", "created_at", "id", "secret")

    def __init__(self, secret: SecretBytes, created_at: str) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a master secret has {KEY_BYTES} bytes")
        self.secret = secret
        self.created_at = created_at
        self.id = key_id(secret)
        self.cipher = Xaes256Gcm(secret.reveal())

    def canary(self, random: Random) -> bytes:
        """A ciphertext that only this secret opens: kept in the database, one a key id."""
        place = envelope.associated_data(_canary_place(self.id))
        return envelope.seal(self.cipher, self.id, random(NONCE_BYTES), place, CANARY_TEXT)

    def opens_canary(self, canary: bytes) -> bool:
        try:
            place = envelope.associated_data(_canary_place(self.id))
            return envelope.key_id_of(canary) == self.id and envelope.unseal(self.cipher, place, canary) == CANARY_TEXT
        except CiphertextRejected:
            return False

    def __repr__(self) -> str:
        return f"MasterSecret({self.id.hex()})"


def generate(random: Random, created_at: str) -> MasterSecret:
    return MasterSecret(SecretBytes(random(KEY_BYTES)), created_at)


class _KeyDocument(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    secret: bytes
    created_at: str


class _KeyringDocument(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    environment: str
    epoch: int
    current: str
    backed_up: bool
    keys: list[_KeyDocument]


DOCUMENT_FORMAT: Final = "holdfast keyring 1"


class BadKeyring(Exception):
    """A keyring document that cannot be what it says."""


class Keyring:
    """Every secret that some row may need, and which of them is current. One that is to be current next is among the others.

    `environment` is the environment's id; `epoch` that of the master that handed it out; `backed_up` says whether
    the current secret has a verified backup: without one it does not encrypt.
    """

    __slots__ = ("backed_up", "current", "environment", "epoch", "etag", "keys")

    def __init__(
        self, environment: str, epoch: int, current: MasterSecret, retired: Iterable[MasterSecret] = (), *, backed_up: bool
    ) -> None:
        self.environment = environment
        self.epoch = epoch
        self.current = current
        self.backed_up = backed_up
        self.keys: Mapping[bytes, MasterSecret] = {key.id: key for key in (current, *retired)}
        digest = hashlib.sha256(f"{environment} {epoch} {backed_up} {current.id.hex()}".encode())
        for identifier in sorted(self.keys):
            digest.update(identifier)
        self.etag = f'"{digest.hexdigest()[:32]}"'

    @property
    def retired(self) -> tuple[MasterSecret, ...]:
        return tuple(key for key in self.keys.values() if key is not self.current)

    def at(self, epoch: int) -> Keyring:
        return Keyring(self.environment, epoch, self.current, self.retired, backed_up=self.backed_up)

    def with_backup(self, backed_up: bool) -> Keyring:
        return Keyring(self.environment, self.epoch, self.current, self.retired, backed_up=backed_up)

    def with_current(self, name: bytes) -> Keyring:
        """The same secrets, another of them current."""
        current = self.keys[name]
        others = [key for key in self.keys.values() if key is not current]
        return Keyring(self.environment, self.epoch, current, others, backed_up=self.backed_up and current is self.current)

    def with_secret(self, secret: MasterSecret) -> Keyring:
        """Another secret beside the current one."""
        return Keyring(self.environment, self.epoch, self.current, (*self.retired, secret), backed_up=self.backed_up)

    def without(self, names: Collection[bytes]) -> Keyring:
        """Without these secrets; the current one stays, whatever they are."""
        others = [key for key in self.retired if key.id not in names]
        return Keyring(self.environment, self.epoch, self.current, others, backed_up=self.backed_up)

    def find(self, name: bytes) -> MasterSecret:
        try:
            return self.keys[name]
        except KeyError:
            raise UnknownKeyId(
                f"the ciphertext names key id {name.hex()}, which this keyring does not hold",
                next_step="compare key ids with `ssoctl secret show`; restore the backup that has this one",
            ) from None

    def seal(self, place: Place, plaintext: bytes, random: Random) -> bytes:
        """Under the current secret; whether that is allowed now is not decided here."""
        return self.seal_many(place, (plaintext,), random)[0]

    def seal_many(self, place: Place, plaintexts: Sequence[bytes], random: Random) -> list[bytes]:
        cipher, name = self.current.cipher, self.current.id
        associated = envelope.associated_data(place)
        nonces, at, sealed = random(NONCE_BYTES * len(plaintexts)), 0, []
        for plaintext in plaintexts:
            sealed.append(envelope.seal(cipher, name, nonces[at : at + NONCE_BYTES], associated, plaintext))
            at += NONCE_BYTES
        return sealed

    def open(self, place: Place, sealed: bytes) -> bytes:
        """The plaintext, by the key that the envelope names. Raises UnknownKeyId, CiphertextRejected."""
        return self.open_many(place, (sealed,))[0]

    def open_many(self, place: Place, sealed: Sequence[bytes]) -> list[bytes]:
        """All the plaintexts, or the first error and none of them."""
        associated = envelope.associated_data(place)
        return [envelope.unseal(self.find(envelope.key_id_of(each)).cipher, associated, each) for each in sealed]

    def failed_canaries(self, canaries: Mapping[bytes, bytes]) -> list[str]:
        """Every key id of the database that this keyring does not open, each as a sentence."""
        failed = []
        for name, canary in canaries.items():
            secret = self.keys.get(name)
            if secret is None:
                failed.append(f"key id {name.hex()} is in the database and not in the keyring")
            elif not secret.opens_canary(canary):
                failed.append(f"the canary of key id {name.hex()} does not open")
        return failed

    def document(self) -> bytes:
        """The whole keyring with its secrets, as JSON: for sealing, for the backup, for an enrolled server."""
        return msgspec.json.encode(
            _KeyringDocument(
                DOCUMENT_FORMAT,
                self.environment,
                self.epoch,
                self.current.id.hex(),
                self.backed_up,
                [_KeyDocument(key.id.hex(), key.secret.reveal(), key.created_at) for key in self.keys.values()],
            )
        )

    @classmethod
    def from_document(cls, document: bytes) -> Keyring:
        """Raises BadKeyring when the document is malformed or a key id does not belong to its secret."""
        try:
            parsed = msgspec.json.decode(document, type=_KeyringDocument)
        except UNREADABLE:
            # The decoder's message can quote what it read; it must not travel on.
            raise BadKeyring("it is not a keyring document") from None
        if parsed.format != DOCUMENT_FORMAT:
            raise BadKeyring(f"its format is not {DOCUMENT_FORMAT!r}")
        keys = {}
        for entry in parsed.keys:
            if len(entry.secret) != KEY_BYTES:
                raise BadKeyring(f"the secret of key id {entry.id} has the wrong length")
            secret = MasterSecret(SecretBytes(entry.secret), entry.created_at)
            if secret.id.hex() != entry.id:
                raise BadKeyring(f"a secret does not belong to its key id {entry.id}")
            keys[entry.id] = secret
        if parsed.current not in keys:
            raise BadKeyring("its current key id is not among its keys")
        current = keys.pop(parsed.current)
        return cls(parsed.environment, parsed.epoch, current, keys.values(), backed_up=parsed.backed_up)

    def __repr__(self) -> str:
        return f"Keyring(current={self.current.id.hex()}, retired={len(self.keys) - 1}, epoch={self.epoch})"
