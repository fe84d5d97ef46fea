"""Routes for mastership and enrolment, and for what the enrolled servers ask each other."""

from __future__ import annotations

from ssod import __version__
from ssod.core.states import Mastership
from ssod.errors import (
    ActivationRefused,
    AuditUnavailable,
    InvalidValue,
    MastershipUnconfirmed,
    NotEnrolled,
    NotMaster,
    ServerIsMaster,
    ServerNotFound,
    StaleEpoch,
    VersionConflict,
)
from ssod.service.applications import check_name
from ssod.service.authority import Authority
from ssod.service.mastership import MastershipService
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit
from ssod.storage.repository import ServerRepository
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport import secret_answers as s
from ssod.transport.app import LONGEST_WAIT, Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import ENROLLED, WAIT, Description
from ssod.transport.protocol import TlsPeer
from ssod.transport.routes.shapes import noticed_documents, revocation_document, server_document


class MasterRoutes:
    """Mastership and enrolment, for SSO administrators; and what the enrolled servers ask each other."""

    def __init__(
        self,
        node: Node,
        membership: Membership,
        mastership: MastershipService,
        servers: ServerRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
    ) -> None:
        self._node = node
        self._membership = membership
        self._mastership = mastership
        self._servers = servers
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._activate_body = body_as(d.ActivateBody)
        self._deactivate_body = body_as(d.DeactivateBody)
        self._server_body = body_as(d.ServerBody)
        self._notice_body = body_as(d.NoticeBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/master/activate",
                self.activate,
                Description(
                    "Make this server the master",
                    "manage master",
                    a.Activated,
                    d.ActivateBody,
                    problems=(ActivationRefused, StaleEpoch, MastershipUnconfirmed),
                ),
            ),
            Route(
                "POST",
                "/v1/master/deactivate",
                self.deactivate,
                Description(
                    "End the mastership of this server", "manage master", a.Deactivated, d.DeactivateBody, problems=(StaleEpoch,)
                ),
            ),
            Route("GET", "/v1/servers", self.list_servers, Description("List the enrolled servers", "manage servers", a.Servers)),
            Route(
                "PUT",
                "/v1/servers/{server}",
                self.enrol,
                Description(
                    "Enrol a server: only an enrolled one is given the keyring",
                    "manage servers",
                    a.Server,
                    d.ServerBody,
                    problems=(VersionConflict, InvalidValue),
                ),
            ),
            Route(
                "DELETE",
                "/v1/servers/{server}",
                self.remove,
                Description(
                    "Remove a server: every server refuses its certificates from then on",
                    "manage servers",
                    a.ServerRemoved,
                    problems=(ServerNotFound, ServerIsMaster),
                ),
            ),
            Route(
                "GET",
                "/v1/peer/keyring",
                self.keyring,
                Description(
                    "The keyring, or a wait for its change",
                    ENROLLED,
                    s.Keyring,
                    query=(WAIT,),
                    problems=(NotMaster, MastershipUnconfirmed, AuditUnavailable),
                    conditional=True,
                ),
                alone=True,
            ),
            Route(
                "POST",
                "/v1/peer/notice",
                self.notice,
                Description("Tell that there is news of the master", ENROLLED, a.NoticeTaken, d.NoticeBody),
            ),
        ]

    async def activate(self, request: Request) -> Response:
        body = self._activate_body(request.body)
        changed, noticed = await self._mastership.activate(request.call, body.expected_epoch, dry_run=body.dry_run)
        return answer(
            {
                "changed": changed,
                "master": self._node.state.master,
                "epoch": self._node.state.epoch,
                "servers": noticed_documents(noticed),
            }
        )

    async def deactivate(self, request: Request) -> Response:
        body = self._deactivate_body(request.body)
        return answer((await self._mastership.deactivate(request.call, dry_run=body.dry_run))._asdict())

    async def list_servers(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        return answer({"servers": [server_document(each) for each in await self._offload(self._servers.all)]})

    async def enrol(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        body, name = self._server_body(request.body), check_name("server", request.path[0])
        self._audit.record(request.call, "enrol server", name)
        server = await self._offload(self._servers.enrol, name, body.address, body.may_become_master, self._node.clock.now().utc)
        await self._membership.report_again()
        await self._membership.refresh()
        return answer(server_document(server))

    async def remove(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        name = request.path[0]
        self._audit.record(request.call, "remove server", name)
        await self._offload(self._servers.remove, name, self._node.clock.now().utc)
        await self._membership.observe()
        await self._authority.reload()
        revoked = [revocation_document(each) for each in self._authority.refused if each.name == name]
        return answer({"revoked": revoked})

    async def _enrolled(self, request: Request) -> str:
        """The name of the enrolled server that asks. Raises NotEnrolled for everybody else."""
        peer = request.peer
        if not isinstance(peer, TlsPeer) or peer.name is None:
            raise NotEnrolled("this is for enrolled servers, over mutual TLS")
        await self._authority.ensure_revocations()
        self._authority.refuse_revoked(peer.key)
        if peer.name not in self._membership.enrolled:
            await self._membership.observe()
        if peer.name not in self._membership.enrolled:
            raise NotEnrolled(f"{peer.name} is not enrolled", next_step="enrol it with `ssoctl servers enrol`, or site.yml")
        return peer.name

    async def keyring(self, request: Request) -> Response:
        name = await self._enrolled(request)
        wait = request.seconds("wait", LONGEST_WAIT)
        named = request.header(b"if-none-match")
        etag = None if named in (None, b'"none"') else (named or b"").decode("latin-1")
        epoch, current, document = await self._mastership.keyring_for(request.call, name, etag, wait)
        request.renewed()  # its certificate may have been revoked while it waited
        headers = [(b"holdfast-epoch", str(epoch).encode())]
        if current is not None:
            headers.append((b"etag", current.encode()))
        return Response(document or b"", 200 if document else 304, headers=tuple(headers))

    async def notice(self, request: Request) -> Response:
        await self._enrolled(request)
        self._notice_body(request.body)
        # What the notice claims is not believed: the database says who is master.
        await self._membership.noticed()
        node = self._node
        followed = node.attached or node.mastership is Mastership.ACTIVE
        return answer(
            {
                "name": node.state.server,
                "attached": followed,
                "key_id": node.key_id,
                "epoch": node.state.epoch,
                "version": __version__,
                "held_key_ids": node.held_key_ids,
                "sealed_key_id": node.sealed_key_id,
            }
        )
