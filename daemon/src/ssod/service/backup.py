"""The backup: the whole keyring as JSON in a standard age file. Made, opened and compared here; recorded elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
import sys

import msgspec

from ssod.age_process import AgeAnswer, AgeRequest
from ssod.core.keyring import BadKeyring, Keyring
from ssod.errors import BackupDamaged, InvalidValue, SharesRefused, WrongPassphrase

FORMAT = "holdfast backup 1"
LARGEST = 1_000_000


class About(msgspec.Struct, frozen=True):
    """What may be read of a backup without its passphrase."""

    format: str
    environment_id: str
    current_key_id: str
    key_ids: list[str]
    made_at: str
    made_by: str
    protection: str
    reminder: str | None
    sha256: str


class Opener(msgspec.Struct, frozen=True):
    """What opens a backup: a passphrase, an age identity, or enough shares of one, as their holders opened them."""

    passphrase: str | None = None
    identity: str | None = None
    shares: list[str] = []


async def _age(request: AgeRequest) -> AgeAnswer:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-m", "ssod.age_process", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate(msgspec.json.encode(request))
    except BaseException:
        process.kill()
        raise
    if process.returncode != 0:
        raise RuntimeError(f"the age process ended with status {process.returncode}")
    return msgspec.json.decode(out, type=AgeAnswer)


async def seal(keyring: Keyring, passphrase: str | None, recipients: list[str]) -> tuple[bytes, str | None]:
    """The age file, and the identity that opens it for its trial when it is for recipients."""
    if (passphrase is None) == (not recipients):
        raise InvalidValue("a backup is for a passphrase or for recipients", next_step="give exactly one of the two")
    if passphrase is not None and len(passphrase) < 12:
        raise InvalidValue("the passphrase is too short", next_step="use at least 12 characters")
    answer = await _age(AgeRequest("seal", keyring.document(), passphrase, recipients))
    if answer.content is None:
        raise InvalidValue("a recipient is not an age public key", next_step="recipients begin with age1; see `age-keygen`")
    return answer.content, answer.identity


async def open_backup(content: bytes, opener: Opener) -> Keyring:
    """The keyring of an age file. Raises WrongPassphrase, SharesRefused, BackupDamaged, InvalidValue."""
    if [opener.passphrase is not None, opener.identity is not None, bool(opener.shares)].count(True) != 1:
        raise InvalidValue("a backup is opened with a passphrase, an identity or shares", next_step="give exactly one of the three")
    if not content.startswith(b"age-encryption.org/v1\n") or len(content) > LARGEST:
        raise BackupDamaged("the file is not an age file", next_step="take another copy of the backup")
    answer = await _age(AgeRequest("open", content, opener.passphrase, [], opener.identity, opener.shares))
    if answer.failure == "bad-shares":
        raise SharesRefused(answer.detail, next_step=answer.next_step)
    if answer.failure == "bad-identity":
        raise InvalidValue("the identity is not an age secret key", next_step="identities begin with AGE-SECRET-KEY-1")
    if answer.failure == "wrong-passphrase":
        raise WrongPassphrase(
            "the backup does not open with this passphrase or identity",
            next_step="read the reminder in FILE.about.json; the file itself is complete as far as can be told",
        )
    if answer.content is None:
        raise BackupDamaged(
            "the backup is cut off or altered", next_step="take another copy of it, and compare sha256 with FILE.about.json"
        )
    try:
        return Keyring.from_document(answer.content)
    except BadKeyring as error:
        raise BackupDamaged(f"the backup opens, and {error}", next_step="take another backup") from None


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
