"""An age identity that exists only as shares, each an age file to one holder: made once, for every backup after it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from ssod.cli.errors import UsageRefused
from ssod.cli.files import prepared, publish, read_back, refuse_bad_target, sync, temporary_name
from ssod.core import shares
from ssod.errors import InvalidValue, SharesRefused

FORMAT = "holdfast escrow 1"
DESCRIPTION = "escrow.json"
HOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Escrow(msgspec.Struct, frozen=True):
    """escrow.json: public. `identity` is the name that each share carries; `holders` are the age recipients of their files."""

    format: str
    recipient: str
    identity: str
    threshold: int
    holders: dict[str, str]
    made_at: str


class Made(NamedTuple):
    recipient: str
    raw: bytes


def make(directory: Path, threshold: int, holders: Sequence[tuple[str, str]]) -> Made:
    """Makes `directory`, whole or not at all. The identity is in the memory of this process alone, and gone with it.

    What was written is read back and tried: every file opens, and every run of `threshold` holders makes the identity.
    """
    import pyrage

    refuse_bad_target(directory)
    if directory.exists() or directory.is_symlink():
        raise UsageRefused(f"{directory} exists", next_step="name a directory that does not: shares are never replaced")
    recipients = {name: _recipient(name, text) for name, text in holders}
    if len(recipients) != len(holders):
        raise UsageRefused("a holder is named twice", next_step="name each once")
    identity, trial = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    secret = str(identity).encode()
    try:
        texts = shares.split(secret, threshold, list(recipients))
    except InvalidValue as refusal:
        raise UsageRefused(refusal.detail, next_step=refusal.next_step or "") from None
    recipient = str(identity.to_public())
    made_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    about = Escrow(FORMAT, recipient, shares.name_of(secret), threshold, dict(holders), made_at)
    raw = msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n"

    draft = temporary_name(directory)
    try:
        draft.mkdir(0o700)
        for (name, key), text in zip(recipients.items(), texts, strict=True):
            _write(draft / f"{name}.age", pyrage.encrypt(text, [key, trial.to_public()]))
        _try([draft / f"{name}.age" for name in recipients], threshold, trial, secret)
        _write(draft / DESCRIPTION, raw)
        sync(draft)
        os.rename(draft, directory)
        sync(directory.parent)
    except OSError as error:
        raise UsageRefused(
            f"cannot make {directory}: {error.strerror}", next_step="nothing is left of it; try another place"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Made(recipient, raw)


def _recipient(name: str, text: str) -> object:
    import pyrage

    if not HOLDER_NAME.fullmatch(name):
        raise UsageRefused(f"{name!r} cannot be the name of a file", next_step="use letters, digits, dot, dash and underscore")
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise UsageRefused(
            f"what {name} is to be encrypted for is no age recipient",
            next_step="it begins with age1: the holder runs `age-keygen -o KEY`, and tells you what it prints",
        ) from None


def _write(path: Path, content: bytes) -> None:
    with prepared(path, content) as new:
        publish(new, path)


def _try(files: Sequence[Path], threshold: int, trial: object, secret: bytes) -> None:
    import pyrage

    try:
        texts = [pyrage.decrypt(read_back(file), [trial]) for file in files]
        runs = [[texts[(at + step) % len(texts)] for step in range(threshold)] for at in range(len(texts))]
        if all(shares.join(run) == secret for run in runs):
            return
    except (pyrage.DecryptError, SharesRefused):
        pass  # said below: what was written is not what was made
    raise UsageRefused("the shares that were read back do not make the identity", next_step="check the disk, and make them again")
