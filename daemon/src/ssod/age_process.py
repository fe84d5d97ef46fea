"""age in a process of its own: its passphrase derivation takes seconds and would hold the daemon's interpreter meanwhile.

Reads one JSON request from standard input and writes one JSON answer to standard output: key bytes and passphrases cross
a pipe, never argv or the environment. It knows age, and shares of an age identity, and nothing of keyrings.
"""

from __future__ import annotations

import sys
from typing import Literal

import msgspec

from ssod.core import shares
from ssod.errors import SharesRefused


class AgeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`content` is a plaintext or an age file. One is set: `passphrase`, `recipients` to seal, `identity` or `shares` to open."""

    act: Literal["seal", "open"]
    content: bytes
    passphrase: str | None = None
    recipients: list[str] = []
    identity: str | None = None
    shares: list[str] = []


class AgeAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """`content`, or why there is none, of shares in words. `identity` opens what was sealed to recipients, for its trial."""

    content: bytes | None = None
    failure: Literal["wrong-passphrase", "damaged", "bad-recipient", "bad-identity", "bad-shares"] | None = None
    identity: str | None = None
    detail: str = ""
    next_step: str | None = None


def _seal(request: AgeRequest) -> AgeAnswer:
    import pyrage

    if request.passphrase is not None:
        return AgeAnswer(pyrage.passphrase.encrypt(request.content, request.passphrase))
    try:
        recipients = [pyrage.x25519.Recipient.from_str(text) for text in request.recipients]
    except pyrage.RecipientError:
        return AgeAnswer(failure="bad-recipient")
    # The daemon holds no recipient's identity, and yet must open what it wrote: one more recipient, for this trial alone.
    trial = pyrage.x25519.Identity.generate()
    return AgeAnswer(pyrage.encrypt(request.content, [*recipients, trial.to_public()]), identity=str(trial))


def _open(request: AgeRequest) -> AgeAnswer:
    import pyrage

    try:
        if request.passphrase is not None:
            return AgeAnswer(pyrage.passphrase.decrypt(request.content, request.passphrase))
        try:
            text = shares.join(request.shares).decode() if request.shares else request.identity or ""
            identity = pyrage.x25519.Identity.from_str(text.strip())
        except SharesRefused as refusal:
            return AgeAnswer(failure="bad-shares", detail=refusal.detail, next_step=refusal.next_step)
        except pyrage.IdentityError:
            return AgeAnswer(failure="bad-identity")
        return AgeAnswer(pyrage.decrypt(request.content, [identity]))
    except pyrage.DecryptError as error:
        # age tells "no such key" from "altered"; its text is all that pyrage keeps of the difference.
        wrong = str(error) in {"Decryption failed", "No matching keys found"}
        return AgeAnswer(failure="wrong-passphrase" if wrong else "damaged")


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=AgeRequest)
    answer = _seal(request) if request.act == "seal" else _open(request)
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
