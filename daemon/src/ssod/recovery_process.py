"""A restored database and a backup in a process of their own, which no ssod runs beside: proved, or made those of other servers.

Reads one JSON request from standard input and writes one JSON answer to standard output: the passphrase crosses a pipe, never
argv or the environment, and the keyring ends with the process.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from typing import Literal

import msgspec

from ssod.errors import SsodError
from ssod.service.backup import Opener, open_backup
from ssod.service.recovery import Proof, prove, take_over
from ssod.storage.engine import connect
from ssod.storage.recovery import RecoveryRepository
from ssod.storage.repository import Database, EnvironmentRepository
from ssod.storage.tolerance import refusal


class RecoveryRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`url` is of the restored database; `renamed` gives principals their new names, for `take over` alone."""

    act: Literal["prove", "take over"]
    url: str
    backup: bytes
    opener: Opener
    sample: int = 0
    renamed: dict[str, str] = {}


class Taken(msgspec.Struct, frozen=True):
    environment_id: str
    epoch: int
    removed_servers: list[str]
    moved_mappings: int


class Refusal(msgspec.Struct, frozen=True):
    detail: str
    next_step: str | None
    conditions: tuple[str, ...]


class RecoveryAnswer(msgspec.Struct, omit_defaults=True):
    """Just one of them."""

    proof: Proof | None = None
    taken: Taken | None = None
    refusal: Refusal | None = None


def _answer(request: RecoveryRequest) -> RecoveryAnswer:
    keyring = asyncio.run(open_backup(request.backup, request.opener))
    database = Database(connect(request.url, patient=True))
    try:
        found = database.schema()
        refused = refusal(found)
        if refused is not None:
            bring_up = "bring the restored copy to this version: ssoctl database migrate --database URL"
            return RecoveryAnswer(refusal=Refusal(refused.detail, bring_up if found.is_behind else refused.next_step, ()))
        repository = RecoveryRepository(database)
        if request.act == "prove":
            servers = len(EnvironmentRepository(database).look().servers or ())
            return RecoveryAnswer(proof=prove(repository, found.revision or "", servers, keyring, request.sample))
        taken = take_over(repository, keyring, request.renamed, os.urandom, datetime.now(UTC))
        return RecoveryAnswer(taken=Taken(keyring.environment, taken.epoch, taken.removed_servers, taken.moved))
    finally:
        database.dispose()


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=RecoveryRequest)
    try:
        answer = _answer(request)
    except SsodError as error:
        answer = RecoveryAnswer(refusal=Refusal(error.detail, error.next_step, error.conditions))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
