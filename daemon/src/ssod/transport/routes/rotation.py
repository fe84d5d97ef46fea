"""Routes for a rotation of the master secret: each step is a request, which can be repeated."""

from __future__ import annotations

import msgspec

from ssod.errors import (
    InvalidValue,
    MastershipUnconfirmed,
    NoSecret,
    NotMaster,
    RotationRefused,
    ServerNotFound,
    StaleEpoch,
    VersionConflict,
)
from ssod.service.rotation import Rotation
from ssod.storage.rotation import ValuePlace
from ssod.transport import documents as d
from ssod.transport import secret_answers as s
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import Description
from ssod.transport.routes.shapes import backup_document, noticed_documents, time_text

AS_MASTER = (NotMaster, MastershipUnconfirmed, StaleEpoch, NoSecret)


class RotationRoutes:
    """A rotation of the master secret, for SSO administrators."""

    def __init__(self, rotation: Rotation) -> None:
        self._rotation = rotation
        self._empty_body = body_as(d.Empty)
        self._switch_body = body_as(d.SwitchBody)
        self._renew_body = body_as(d.RenewBody)
        self._prune_body = body_as(d.PruneBody)

    def routes(self) -> list[Route]:
        path = "/v1/secret/rotation"
        return [
            Route(
                "GET",
                path,
                self.show,
                Description("Show how far a rotation is, and which key values are under", "manage secret", s.Rotation),
            ),
            Route(
                "POST",
                f"{path}/prepare",
                self.prepare,
                Description("Generate the next secret, if there is none", "manage secret", s.Prepared, d.Empty, problems=AS_MASTER),
            ),
            Route(
                "POST",
                f"{path}/switch",
                self.switch,
                Description(
                    "Make the next secret the current one, when every server holds it",
                    "manage secret",
                    s.Switched,
                    d.SwitchBody,
                    problems=(*AS_MASTER, RotationRefused, ServerNotFound, VersionConflict),
                ),
            ),
            Route(
                "POST",
                f"{path}/renew",
                self.renew,
                Description(
                    "Bring a batch of values under the current secret",
                    "manage secret",
                    s.RenewedValues,
                    d.RenewBody,
                    problems=(*AS_MASTER, VersionConflict, InvalidValue),
                ),
            ),
            Route(
                "POST",
                "/v1/secret/prune",
                self.prune,
                Description(
                    "Forget retired secrets that nothing needs",
                    "manage secret",
                    s.Pruned,
                    d.PruneBody,
                    problems=(*AS_MASTER, VersionConflict, InvalidValue),
                ),
            ),
        ]

    async def show(self, request: Request) -> Response:
        progress = await self._rotation.progress(request.call)
        environment = progress.environment
        current, coming = environment.current_key_id, environment.next_key
        return answer(
            {
                "current_key_id": current.hex() if current else None,
                "next": coming
                and {
                    "key_id": coming.key_id.hex(),
                    "created_at": time_text(coming.created_at),
                    "backup": coming.backup and backup_document(coming.backup),
                },
                "values": {key.hex(): count for key, count in progress.counts.items()},
                "left": progress.left,
            }
        )

    async def prepare(self, request: Request) -> Response:
        self._empty_body(request.body)
        prepared = await self._rotation.prepare(request.call)
        return answer({"changed": prepared.changed, "current_key_id": prepared.current.hex(), "next_key_id": prepared.coming.hex()})

    async def switch(self, request: Request) -> Response:
        body = self._switch_body(request.body)
        switched = await self._rotation.switch(request.call, body.without, body.timeout, dry_run=body.dry_run)
        return answer(
            {
                "changed": switched.changed,
                "current_key_id": switched.current.hex(),
                "servers": noticed_documents(switched.servers),
            }
        )

    async def renew(self, request: Request) -> Response:
        body = self._renew_body(request.body)
        after = ValuePlace(**msgspec.structs.asdict(body.after)) if body.after else None
        batch = await self._rotation.renew(request.call, after, body.limit)
        return answer(
            {
                "renewed": batch.renewed,
                "last": batch.last and batch.last._asdict(),
                "damaged": [place._asdict() for place in batch.damaged],
            }
        )

    async def prune(self, request: Request) -> Response:
        body = self._prune_body(request.body)
        found = await self._rotation.prune(request.call, body.days, body.count, dry_run=body.dry_run)
        return answer(
            {
                "pruned": [key.hex() for key in found.pruned],
                "kept": [{"key_id": each.key_id.hex(), "reason": each.reason} for each in found.kept],
            }
        )
