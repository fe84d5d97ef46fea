"""Routes for the master secret, for SSO administrators."""

from __future__ import annotations

from typing import Any

from ssod.errors import (
    BackupDamaged,
    BackupOfAnotherEnvironment,
    BackupTooOld,
    InvalidValue,
    MastershipUnconfirmed,
    NoSecret,
    NotMaster,
    RestoreRefused,
    SecretExists,
    ServerNotFound,
    SharesRefused,
    StaleEpoch,
    WrongPassphrase,
)
from ssod.service.backup import Opener
from ssod.service.node import Node
from ssod.service.secret import Secret
from ssod.storage.records import Environment
from ssod.transport import documents as d
from ssod.transport import secret_answers as s
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import Description
from ssod.transport.routes.shapes import backup_document, noticed_documents, time_text

UNOPENED = (InvalidValue, WrongPassphrase, SharesRefused, BackupDamaged)
BAD_BACKUP = (*UNOPENED, BackupOfAnotherEnvironment, BackupTooOld)


def _opener(body: d.CompareBody) -> Opener:
    return Opener(body.passphrase, body.identity, body.shares)


class SecretRoutes:
    """The master secret, for SSO administrators."""

    def __init__(self, node: Node, secret: Secret) -> None:
        self._node = node
        self._secret = secret
        self._backup_body = body_as(d.BackupBody)
        self._verify_body = body_as(d.VerifyBody)
        self._compare_body = body_as(d.CompareBody)
        self._restore_body = body_as(d.RestoreBody)
        self._distribute_body = body_as(d.DistributeBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/secret",
                self.show,
                Description("Show the key ids and the backup, never the secret", "manage secret", s.Secret),
            ),
            Route(
                "POST",
                "/v1/secret/generate",
                self.generate,
                Description(
                    "Generate the first master secret",
                    "manage secret",
                    s.Secret,
                    d.Empty,
                    problems=(NotMaster, SecretExists, StaleEpoch, MastershipUnconfirmed),
                ),
            ),
            Route(
                "POST",
                "/v1/secret/backup",
                self.backup,
                Description(
                    "Make a backup of the keyring", "manage secret", s.Backup, d.BackupBody, problems=(NoSecret, InvalidValue)
                ),
            ),
            Route(
                "POST",
                "/v1/secret/backup/verify",
                self.verify,
                Description(
                    "Open a backup and compare it by key id",
                    "manage secret",
                    s.BackupVerified,
                    d.VerifyBody,
                    problems=(NoSecret, *BAD_BACKUP, NotMaster, StaleEpoch, MastershipUnconfirmed),
                ),
            ),
            Route(
                "POST",
                "/v1/secret/backup/compare",
                self.compare,
                Description(
                    "Say whether a backup fits this database, and change nothing",
                    "manage secret",
                    s.BackupCompared,
                    d.CompareBody,
                    problems=UNOPENED,
                ),
            ),
            Route(
                "POST",
                "/v1/secret/restore",
                self.restore,
                Description(
                    "Restore the keyring of a backup",
                    "manage secret",
                    s.Restored,
                    d.RestoreBody,
                    problems=(RestoreRefused, *BAD_BACKUP),
                ),
            ),
            Route(
                "POST",
                "/v1/secret/distribute",
                self.distribute,
                Description(
                    "Have servers refresh, and wait for them",
                    "manage secret",
                    s.Distributed,
                    d.DistributeBody,
                    problems=(NotMaster, MastershipUnconfirmed, ServerNotFound),
                ),
            ),
        ]

    def _document(self, environment: Environment) -> dict[str, Any]:
        current, backup, keyring = environment.current_key_id, environment.backup, self._node.keyring
        keys = [
            {
                "key_id": key.key_id.hex(),
                "created_at": time_text(key.created_at),
                "retired_at": time_text(key.retired_at),
                "state": "current" if key.key_id == current else "retired",
            }
            for key in environment.keys
        ]
        coming = environment.next_key
        if coming is not None:
            created = time_text(coming.created_at)
            keys.append({"key_id": coming.key_id.hex(), "created_at": created, "retired_at": None, "state": "next"})
        return {
            "environment_id": environment.id,
            "current_key_id": current.hex() if current else None,
            "epoch": environment.epoch,
            "generated_at": next((key["created_at"] for key in keys if key["state"] == "current"), None),
            "keys": keys,
            "held_key_ids": sorted(key.hex() for key in keyring.keys) if keyring else [],
            "sealed_key_id": self._node.sealed_key_id,
            "backup": backup and backup_document(backup),
        }

    async def show(self, request: Request) -> Response:
        return answer(self._document(await self._secret.show(request.call)))

    async def generate(self, request: Request) -> Response:
        body_as(d.Empty)(request.body)
        return answer(self._document(await self._secret.generate(request.call)))

    async def backup(self, request: Request) -> Response:
        body = self._backup_body(request.body)
        content, about = await self._secret.backup(request.call, body.passphrase, body.recipients, body.reminder)
        return answer({"backup": content, "about": about})

    async def verify(self, request: Request) -> Response:
        body = self._verify_body(request.body)
        found = await self._secret.verify(request.call, body.backup, _opener(body), body.place, record=body.record)
        return answer(
            {
                "environment_id": found.keyring.environment,
                "current_key_id": found.keyring.current.id.hex(),
                "key_ids": sorted(key.hex() for key in found.keyring.keys),
                "sha256": found.sha256,
            }
        )

    async def compare(self, request: Request) -> Response:
        body = self._compare_body(request.body)
        found = await self._secret.compare(request.call, body.backup, _opener(body))
        return answer(
            {
                "environment_id": found.keyring.environment,
                "current_key_id": found.keyring.current.id.hex(),
                "key_ids": sorted(key.hex() for key in found.keyring.keys),
                "sha256": found.sha256,
                "recorded": found.recorded,
                "fits": not found.reasons,
                "reasons": found.reasons,
            }
        )

    async def restore(self, request: Request) -> Response:
        body = self._restore_body(request.body)
        changed, keyring = await self._secret.restore(request.call, body.backup, _opener(body), dry_run=body.dry_run)
        return answer(
            {
                "changed": changed,
                "current_key_id": keyring.current.id.hex(),
                "key_ids": sorted(key.hex() for key in keyring.keys),
            }
        )

    async def distribute(self, request: Request) -> Response:
        body = self._distribute_body(request.body)
        noticed = await self._secret.distribute(request.call, body.servers, body.timeout)
        environment = self._node.environment
        coming = environment.next_key if environment else None
        return answer(
            {
                "key_id": self._node.key_id,
                "next_key_id": coming.key_id.hex() if coming else None,
                "servers": noticed_documents(noticed),
            }
        )
