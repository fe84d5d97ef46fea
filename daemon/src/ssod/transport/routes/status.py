"""Routes that anybody may ask, and the proof and refresh of one server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from ssod import __version__
from ssod.core.refusals import days_left
from ssod.service.authority import Authority
from ssod.service.encryption import Encryption
from ssod.service.fitness import Fitness
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.storage.records import Environment
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import ANYBODY, ENCRYPTING, Description
from ssod.transport.routes.shapes import server_document, time_text
from ssod.transport.tls import Identity


class StatusRoutes:
    """What anybody may ask."""

    def __init__(
        self,
        node: Node,
        membership: Membership,
        encryption: Encryption,
        fitness: Fitness,
        authority: Authority,
        database_kind: str,
        certificate: Callable[[], Identity],
        metrics: Callable[[], tuple[bytes, str]],
    ) -> None:
        self._node = node
        self._membership = membership
        self._encryption = encryption
        self._fitness = fitness
        self._authority = authority
        self._database_kind = database_kind
        self._certificate = certificate
        self._metrics = metrics
        self._started = node.clock.monotonic()

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/health",
                self.health,
                Description("One sentence on the health of this server", ANYBODY, a.Health, otherwise={503: a.Health}),
            ),
            Route(
                "GET",
                "/v1/status",
                self.status,
                Description("This server, the database, and every enrolled server", ANYBODY, a.Status),
            ),
            Route("GET", "/v1/master", self.master, Description("What this server knows of the master", ANYBODY, a.Master)),
            Route(
                "GET",
                "/v1/master/fitness",
                self.fitness,
                Description("Whether this server could be the master now", ANYBODY, a.Fitness),
            ),
            Route(
                "POST",
                "/v1/refresh",
                self.refresh,
                Description("Ask the database and the master at once", "manage servers", a.Status, d.Empty),
            ),
            Route(
                "POST",
                "/v1/selftest",
                self.selftest,
                Description("Encrypt a random value and open it again", "manage servers", a.SelfTest, d.Empty, problems=ENCRYPTING),
            ),
            Route("GET", "/metrics", self.metrics, Description("Prometheus metrics", ANYBODY, str)),
        ]

    def health(self, _request: Request) -> Response:
        status = 200 if self._node.keyring is not None else 503
        body = {"state": self._node.state.attachment, "sentence": self._node.sentence()}
        return Response(msgspec.json.encode(body), status)

    def metrics(self, _request: Request) -> Response:
        content, content_type = self._metrics()
        return Response(content, content_type=content_type.encode())

    async def status_document(self) -> dict[str, Any]:
        unfit = await self._fitness.unfit() if self._node.may_become_master else []
        node, state, environment = self._node, self._node.state, self._node.environment
        return {
            "server": {
                "name": state.server,
                "version": __version__,
                "state": node.attachment,
                "since": time_text(state.since.utc),
                "sentence": node.sentence(),
                "key_id": node.key_id,
                "sealed_key_id": node.sealed_key_id,
                "sealing": self._sealing_document(),
                "held_key_ids": node.held_key_ids,
                "epoch": state.epoch,
                "master": state.master,
                "mastership": node.mastership,
                "managed_by": node.mandate.managed_by,
                "mandate": node.mandate.given(),
                "may_become_master": node.may_become_master,
                "unfit": unfit,
                "can_encrypt": node.can_encrypt,
                "can_decrypt": node.keyring is not None,
                "certificate_expires_at": time_text(self._certificate().expires_at),
                "certificate": self._certificate_document(),
                "uptime_seconds": round(node.clock.monotonic() - self._started),
            },
            "database": {
                "reachable": state.database_lost is None and environment is not None,
                "kind": self._database_kind,
                "detail": state.database_lost,
            },
            "environment": environment and self.environment_document(environment),
            "servers": [server_document(s) for s in self._membership.enrolled.values()] if environment else None,
        }

    def environment_document(self, environment: Environment) -> dict[str, Any]:
        backup = environment.backup
        return {
            "id": environment.id,
            "master": environment.master,
            "epoch": environment.epoch,
            "epoch_since": time_text(environment.epoch_since),
            "master_confirmed_seconds": self._master_confirmed_seconds(environment),
            "current_key_id": environment.current_key_id.hex() if environment.current_key_id else None,
            "backup_verified_at": time_text(backup.verified_at) if backup else None,
            "backup_place": backup.place if backup else None,
            "disabled_at": time_text(self._authority.disabled_at),
        }

    def _master_confirmed_seconds(self, environment: Environment) -> float | None:
        """How long ago, by the database's clock, the master last confirmed its mastership; None when it has stepped down."""
        if environment.confirmed_ago is None:
            return None
        return round(environment.confirmed_ago + self._node.clock.monotonic() - self._membership.looked, 3)

    def _sealing_document(self) -> dict[str, Any]:
        node, sealing = self._node, self._membership.sealing
        cache = sealing.cache
        return {
            "key": sealing.seals_with,
            "sealed_under": node.sealed_under,
            "problem": node.seal_problem,
            "cache": cache
            and {
                "max_age_seconds": cache.max_age,
                "vouched_at": time_text(datetime.fromtimestamp(cache.vouched.at, UTC)) if cache.vouched else None,
                "used_until": time_text(node.borrowed_until),
                "refusal": node.cache_refusal,
            },
        }

    def _certificate_document(self) -> dict[str, Any]:
        certificate = self._certificate()
        return certificate._asdict() | {
            "expires_at": time_text(certificate.expires_at),
            "days_left": days_left(certificate.expires_at, self._node.clock.now()),
            "revoked": self._node.removed is not None,
        }

    async def present_document(self) -> dict[str, Any]:
        # A status that is seconds old is read as the present at three in the morning: ask the database now.
        await self._membership.look(reports=True)
        return await self.status_document()

    async def status(self, _request: Request) -> Response:
        return answer(await self.present_document())

    async def refresh(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        body_as(d.Empty)(request.body)
        await self._membership.refresh()
        await self._membership.look(reports=True)
        return answer(await self.status_document())

    async def selftest(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        body_as(d.Empty)(request.body)
        key_id, seconds = await self._encryption.selftest(request.call)
        return answer({"ok": True, "key_id": key_id, "micros": round(seconds * 1_000_000)})

    async def fitness(self, _request: Request) -> Response:
        return answer((await self._fitness.verdict())._asdict())

    def master(self, _request: Request) -> Response:
        node = self._node
        return answer(
            {
                "this_server": node.state.server,
                "master": node.state.master,
                "epoch": node.state.epoch,
                "mastership": node.mastership,
                "managed_by": node.mandate.managed_by,
                "may_become_master": node.may_become_master,
                "sentence": node.sentence(),
            }
        )
