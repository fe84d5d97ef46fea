"""An age identity in k of n shares: Shamir's scheme of PyCryptodome, and the texts that the holders of shares keep.

docs/escrow.md is the format. Fewer than k shares tell nothing. Every share tells whether it is whole, and of which identity it
is one, so that a person learns which share is in the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from ssod.errors import UNREADABLE, InvalidValue, SharesRefused

FORMAT: Final = "holdfast share 1"
MOST: Final = 255
BLOCK: Final = 16  # bytes: the scheme works in GF(2^128), so a longer secret is cut into blocks of this length
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
Number = Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`identity` names the identity, and commits to it; `sum` is over all the rest, for a share that a person copied."""

    format: str
    identity: Hex
    threshold: Number
    shares: Number
    number: Number
    holder: str
    value: bytes
    sum: Hex

    def sum_of(self) -> str:
        words = (self.format, self.identity, self.threshold, self.shares, self.number, self.holder, self.value.hex())
        return hashlib.sha256("\n".join(str(word) for word in words).encode()).hexdigest()[:32]


def name_of(secret: bytes) -> str:
    """Public: the secret has 256 random bits, so its hash helps nobody."""
    return hashlib.sha256(b"holdfast share 1\0" + secret).hexdigest()[:32]


def split(secret: bytes, threshold: int, holders: Sequence[str]) -> list[bytes]:
    """A share, as a JSON text, for each of the holders; any `threshold` of them make the secret again."""
    from Crypto.Protocol.SecretSharing import Shamir

    if len(set(holders)) != len(holders) or not 2 <= threshold <= len(holders) <= MOST:
        raise InvalidValue(
            f"{threshold} of {len(holders)} shares cannot be made",
            next_step=f"name 2 to {MOST} holders, each once, of whom at least 2 are needed",
        )
    padded = secret + b"\n" * (-len(secret) % BLOCK)  # an identity is a line of text
    blocks = [padded[at : at + BLOCK] for at in range(0, len(padded), BLOCK)]
    rows = zip(*(Shamir.split(threshold, len(holders), block, ssss=False) for block in blocks), strict=True)
    texts = []
    for holder, parts in zip(holders, rows, strict=True):
        value = b"".join(part for _, part in parts)
        share = Share(FORMAT, name_of(secret), threshold, len(holders), parts[0][0], holder, value, "0" * 32)
        whole = msgspec.structs.replace(share, sum=share.sum_of())
        texts.append(msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")
    return texts


def join(texts: Sequence[str | bytes]) -> bytes:
    """The secret of at least as many shares as it takes. Raises SharesRefused, which says which share is in the way."""
    from Crypto.Protocol.SecretSharing import Shamir

    shares = [_read(at, text) for at, text in enumerate(texts, 1)]
    if not shares:
        raise SharesRefused("no share was given", next_step="give as many shares as the backup's reminder says")
    first = shares[0]
    if others := [share.holder for share in shares if _kind(share) != _kind(first)]:
        raise SharesRefused(
            f"the shares of {', '.join(others)} are of another identity than that of {first.holder}",
            next_step="shares of one making belong together: their member `identity` is the same",
        )
    by_number = {share.number: share for share in shares}
    if len(by_number) < first.threshold:
        given = f"{len(by_number)} of {len(shares)} are different ones" if len(by_number) < len(shares) else f"{len(shares)} given"
        raise SharesRefused(
            f"{first.threshold} shares are needed, {given}",
            next_step=f"{first.shares} holders have one; have another of them open theirs with `age -d`",
        )
    chosen = list(by_number.values())[: first.threshold]
    blocks = range(0, len(first.value), BLOCK)
    padded = b"".join(Shamir.combine([(s.number, s.value[at : at + BLOCK]) for s in chosen], ssss=False) for at in blocks)
    secret = padded.rstrip(b"\n")
    if name_of(secret) != first.identity:
        raise SharesRefused("the shares do not make the identity that they name", next_step="take another copy of each")
    return secret


def _kind(share: Share) -> tuple[str, int, int, int]:
    return share.identity, share.threshold, share.shares, len(share.value)


def _read(at: int, text: str | bytes) -> Share:
    try:
        share = msgspec.json.decode(text, type=Share)
    except UNREADABLE:
        share = None
    if share is None or share.format != FORMAT or not share.value or len(share.value) % BLOCK:
        raise SharesRefused(
            f"share {at} of those given is none", next_step="give the opened share: what `age -d` prints of the holder's file"
        ) from None
    if share.sum != share.sum_of():
        raise SharesRefused(f"the share of {share.holder} is altered", next_step="open the holder's file again, or take another's")
    return share
