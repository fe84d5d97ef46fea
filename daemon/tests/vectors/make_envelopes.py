"""Writes the vectors of docs/envelope-format.md, one fault a file, by the specification and without ssod's own envelope code.

`python make_envelopes.py DIRECTORY`. Of ssod it uses only the AEAD, which C2SP's published vectors check. A file has lines
`NAME: VALUE`: `expect` (`open`, or the problem that a reader answers), `comment`, `key` (hex; the reader's whole keyring),
`place` (JSON: application, kind, name, field), `plaintext` (hex; for `open`), `text` (JSON, so that blanks are seen).
"""

from __future__ import annotations

import base64
import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ssod.core.aead import Xaes256Gcm

KEY = bytes(range(32))
OTHER_KEY = bytes(range(32, 64))
NONCE = bytes(range(64, 88))
Place = tuple[str, str, str, str]
PLACE: Place = ("sftp", "config", "inbound", "password")
VALUE = b"correct horse"
REJECTED, UNKNOWN = "ciphertext-rejected", "unknown-key-id"


def key_id(key: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 16, salt=None, info=b"holdfast key id").derive(key)


def encoded(place: Place) -> bytes:
    return b"".join(struct.pack(">I", len(part.encode())) + part.encode() for part in place)


def envelope(
    plaintext: bytes = VALUE,
    place: Place = PLACE,
    *,
    version: int = 1,
    named: bytes | None = None,
    key: bytes = KEY,
    associated: Callable[[bytes, bytes], bytes] = lambda header, where: header + where,
) -> bytes:
    header = bytes([version]) + (key_id(KEY) if named is None else named)
    return header + NONCE + Xaes256Gcm(key).seal(NONCE, plaintext, associated(header, encoded(place)))


def text(content: bytes) -> str:
    return "hf1." + base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def flipped(content: bytes, at: int, bit: int = 0) -> bytes:
    return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]


def opening() -> Iterator[tuple[str, str, bytes, Place]]:
    """(file, comment, plaintext, place)."""
    yield "open-a-value", "an ordinary value", VALUE, PLACE
    yield "open-an-empty-value", "an empty value is a value", b"", PLACE
    yield "open-a-byte-of-each-kind", "plaintext is bytes, not text", bytes(range(256)), PLACE
    yield (
        "open-an-empty-place",
        "a part of a place may be empty; its length is written nevertheless",
        VALUE,
        ("", "canary", "00", ""),
    )
    yield "open-a-place-beyond-ascii", "lengths count UTF-8 bytes, not characters", VALUE, ("zürich", "value", "naïve 口", "é")
    yield "open-a-place-with-slashes", "no separator is special in a place", VALUE, ("a/b", "value", "c\u0000d\n", "e:f")


def faults() -> Iterator[tuple[str, str, str, str]]:
    """(file, expectation, comment, text)."""
    good = envelope()
    spelled = text(good)
    for name, comment, wrong in (
        ("text-empty", "no text at all", ""),
        ("text-prefix-alone", "the prefix and nothing after it", "hf1."),
        ("text-prefix-missing", "base64url without the prefix", spelled[4:]),
        ("text-prefix-in-capitals", "the prefix is lower case", "HF1." + spelled[4:]),
        ("text-prefix-of-another-version", "hf2. is not read", "hf2." + spelled[4:]),
        ("text-blank-before", "no blank before the prefix", " " + spelled),
        ("text-newline-after", "no newline at the end", spelled + "\n"),
        ("text-blank-inside", "no blank inside", spelled[:20] + " " + spelled[20:]),
        ("text-padded", "no padding", spelled + "=" * (-len(spelled[4:]) % 4)),
        ("text-standard-alphabet", "'+' and '/' are not read", spelled.replace("-", "+").replace("_", "/")),
        ("text-stray-bits", "the unused bits of the last character are 0", spelled[:-1] + chr(ord(spelled[-1]) + 1)),
        ("text-impossible-length", "no byte string has this many characters", spelled[:-1]),
        ("text-not-ascii", "a letter that only looks like one of the alphabet", spelled[:10] + "а" + spelled[11:]),
        ("text-nul-after", "no NUL at the end", spelled + "\0"),
    ):
        yield name, REJECTED, comment, wrong
    for name, comment, content in (
        ("version-0", "version 0 does not exist, even when authentic", envelope(version=0)),
        ("version-2", "version 2 is not this one, even when authentic", envelope(version=2)),
        ("cut-to-nothing-but-a-version", "one byte", good[:1]),
        ("cut-in-the-key-id", "no whole key id", good[:10]),
        ("cut-in-the-nonce", "no whole nonce", good[:30]),
        ("cut-before-the-tag", "a header and a nonce, and no tag", good[:41]),
        ("cut-in-the-smallest-tag", "an empty value without the last byte of its tag", envelope(b"")[:-1]),
        ("cut-at-the-end", "the last byte of the tag is missing", good[:-1]),
        ("cut-at-the-front-of-the-value", "the first byte of the ciphertext is missing", good[:41] + good[42:]),
        ("one-byte-more", "a byte after the tag", good + b"\0"),
        ("twice", "two envelopes in one text", good + good),
        ("nonce-altered", "one bit of the nonce", flipped(good, 17)),
        ("nonce-altered-at-its-end", "one bit of the nonce's last byte", flipped(good, 40, 7)),
        ("value-altered", "one bit of the ciphertext", flipped(good, 41)),
        ("tag-altered", "one bit of the tag", flipped(good, len(good) - 1)),
        ("key-of-another-id", "sealed under a key that the key id does not belong to", envelope(key=OTHER_KEY)),
        ("header-not-bound", "sealed without the header in the associated data", envelope(associated=lambda _, where: where)),
        ("place-not-bound", "sealed without the place in the associated data", envelope(associated=lambda header, _: header)),
        (
            "place-before-header",
            "the associated data is in another order",
            envelope(associated=lambda header, where: where + header),
        ),
        ("place-of-another-application", "moved to another application", envelope(place=("ftps", *PLACE[1:]))),
        ("place-of-another-kind", "moved from a value to a configuration", envelope(place=("sftp", "value", *PLACE[2:]))),
        ("place-of-another-name", "moved to another configuration", envelope(place=(*PLACE[:2], "outbound", PLACE[3]))),
        ("place-of-another-field", "moved to another field", envelope(place=(*PLACE[:3], "passphrase"))),
        ("place-in-capitals", "places are compared byte by byte", envelope(place=("SFTP", *PLACE[1:]))),
        ("place-with-parts-shifted", "the same letters, cut at another place", envelope(place=("sftpc", "onfig", *PLACE[2:]))),
    ):
        yield name, REJECTED, comment, text(content)
    yield (
        "key-id-unknown",
        UNKNOWN,
        "an authentic envelope of a key that the reader does not hold",
        text(envelope(named=key_id(OTHER_KEY), key=OTHER_KEY)),
    )
    yield "key-id-altered", UNKNOWN, "one bit of the key id", text(flipped(good, 1))


def files() -> dict[str, str]:
    """Every vector by its file name."""

    def content(expect: str, comment: str, place: Place, wrong: str, plaintext: bytes | None = None) -> str:
        lines = [f"expect: {expect}", f"comment: {comment}", f"key: {KEY.hex()}", f"place: {json.dumps(place)}"]
        if plaintext is not None:
            lines.append(f"plaintext: {plaintext.hex()}")
        return "\n".join([*lines, f"text: {json.dumps(wrong)}", ""])

    made = {name: content("open", comment, place, text(envelope(value, place)), value) for name, comment, value, place in opening()}
    for name, expect, comment, wrong in faults():
        made[name] = content(expect, comment, PLACE, wrong)
    return made


def main() -> None:
    directory = Path(sys.argv[1])
    for name, content in files().items():
        (directory / name).write_text(content, encoding="ascii")


if __name__ == "__main__":
    main()
