"""Routes for credential mappings, for the credentials that are a caller's own, and for tickets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from ssod.errors import (
    ApplicationNotFound,
    ExternalIdTaken,
    InvalidValue,
    Malformed,
    MappingDisabled,
    MappingNotFound,
    NoCredentials,
    NoKeyring,
    TicketRejected,
    TicketsNotAllowed,
    VersionConflict,
)
from ssod.service.credentials import Credentials, Disclosed
from ssod.service.mappings import Mappings, Wanted, Written, key_ids_text
from ssod.service.tickets import Tickets
from ssod.storage.records import Mapping
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import DRY_RUN, IN_APPLICATION, OPENING, STORING, Description, Query
from ssod.transport.routes.shapes import sealed_values, time_text

PAGE = (
    Query("after", str, "Begin behind this principal."),
    Query("limit", Annotated[int, msgspec.Meta(ge=1, le=d.BATCH)], "How many at most."),
    Query("external_id", str, "Only those of this external account."),
)
OWN = (*IN_APPLICATION, InvalidValue, MappingNotFound)
LOOKED_UP = (*OWN, MappingDisabled, NoCredentials, *OPENING)


def mapping_document(mapping: Mapping) -> dict[str, Any]:
    return {
        "principal": mapping.principal,
        "external_id": mapping.external_id,
        "position": mapping.position,
        "enabled": mapping.enabled,
        "disabled_by_user": mapping.disabled_by_user,
        "disabled_by_administrator": mapping.disabled_by_administrator,
        "fields": sorted(mapping.key_ids),
        "key_id": key_ids_text(mapping) or None,
        "version": mapping.version,
        "updated_at": time_text(mapping.updated_at),
    }


def _written_document(written: Written) -> dict[str, Any]:
    return mapping_document(written.mapping) | {"changes": written.changes._asdict() | {"mapping": written.attributes}}


def _disclosed_document(disclosed: Disclosed) -> dict[str, Any]:
    return disclosed._asdict() | {"cached_at": time_text(disclosed.cached_at)}


class MappingRoutes:
    """Whose account outside is whose; values go in here and come out only to whom they belong."""

    def __init__(self, mappings: Mappings, credentials: Credentials, tickets: Tickets) -> None:
        self._mappings = mappings
        self._credentials = credentials
        self._tickets = tickets
        self._mapping_body = body_as(d.MappingBody)
        self._load_body = body_as(d.LoadBody)
        self._own_mapping_body = body_as(d.OwnMappingBody)
        self._redeem_body = body_as(d.RedeemBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/applications/{application}/mappings",
                self.page,
                Description(
                    "List mappings, by principal; never values",
                    "list mappings",
                    a.Mappings,
                    query=PAGE,
                    problems=(ApplicationNotFound, InvalidValue),
                ),
            ),
            Route(
                "POST",
                "/v1/applications/{application}/mappings/load",
                self.load,
                Description(
                    "Create or change up to 1,000 mappings: all, or none",
                    "manage mappings",
                    a.Loaded,
                    d.LoadBody,
                    query=(DRY_RUN,),
                    problems=(*IN_APPLICATION, *STORING, ExternalIdTaken),
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}/mappings/{principal}",
                self.get,
                Description(
                    "Show a mapping; never values", "read mapping", a.Mapping, problems=(ApplicationNotFound, MappingNotFound)
                ),
            ),
            Route(
                "PUT",
                "/v1/applications/{application}/mappings/{principal}",
                self.put,
                Description(
                    "Create or change a mapping",
                    "manage mappings",
                    a.MappingWritten,
                    d.MappingBody,
                    query=(DRY_RUN,),
                    problems=(*IN_APPLICATION, *STORING, ExternalIdTaken),
                ),
            ),
            Route(
                "DELETE",
                "/v1/applications/{application}/mappings/{principal}",
                self.delete,
                Description(
                    "Delete a mapping",
                    "manage mappings",
                    a.Deleted,
                    query=(DRY_RUN,),
                    problems=(ApplicationNotFound, MappingNotFound, VersionConflict),
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}/mapping",
                self.get_own,
                Description("Show the caller's own mapping", "manage own mapping", a.Mapping, problems=OWN),
            ),
            Route(
                "PUT",
                "/v1/applications/{application}/mapping",
                self.put_own,
                Description(
                    "Create or change the caller's own mapping",
                    "manage own mapping",
                    a.MappingWritten,
                    d.OwnMappingBody,
                    query=(DRY_RUN,),
                    problems=(*OWN, *STORING, ExternalIdTaken),
                ),
            ),
            Route(
                "DELETE",
                "/v1/applications/{application}/mapping",
                self.delete_own,
                Description(
                    "Delete the caller's own mapping",
                    "manage own mapping",
                    a.Deleted,
                    query=(DRY_RUN,),
                    problems=(*OWN, MappingDisabled, VersionConflict),
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}/credentials",
                self.look_up,
                Description(
                    "Look up the caller's own credentials; audited as a disclosure",
                    "look up own credentials",
                    a.Credentials,
                    problems=LOOKED_UP,
                ),
            ),
            Route(
                "POST",
                "/v1/applications/{application}/tickets",
                self.issue,
                Description(
                    "Issue a ticket for the caller",
                    "issue ticket",
                    a.Ticket,
                    d.Empty,
                    problems=(*IN_APPLICATION, TicketsNotAllowed, InvalidValue, NoKeyring),
                ),
            ),
            Route(
                "POST",
                "/v1/applications/{application}/tickets/redeem",
                self.redeem,
                Description(
                    "Redeem a ticket for the credentials of whom it was issued to",
                    "redeem ticket",
                    a.Credentials,
                    d.RedeemBody,
                    problems=(*LOOKED_UP, TicketsNotAllowed, TicketRejected),
                ),
            ),
        ]

    async def page(self, request: Request) -> Response:
        limit = _limit(request.query.get("limit", str(d.BATCH)))
        after, external_id = request.query.get("after", ""), request.query.get("external_id")
        found = await self._mappings.page(request.call, request.path[0], after, limit, external_id)
        following = found[-1].principal if len(found) == limit else None
        return answer({"mappings": [mapping_document(each) for each in found], "next": following})

    async def get(self, request: Request) -> Response:
        application, principal = request.path
        return answer(mapping_document(await self._mappings.get(request.call, application, principal)))

    async def put(self, request: Request) -> Response:
        application, principal = request.path
        body = self._mapping_body(request.body)
        wanted = Wanted(
            principal,
            body.external_id,
            body.position,
            disabled_by_administrator=body.disabled_by_administrator,
            credentials=body.credentials,
        )
        written = await self._mappings.put(
            request.call,
            application,
            wanted,
            body.if_version,
            dry_run=request.flag("dry_run"),
            ciphertexts=sealed_values(body.ciphertexts, "credentials", body.credentials),
        )
        return answer(_written_document(written))

    async def delete(self, request: Request) -> Response:
        application, principal = request.path
        version = await self._mappings.delete(request.call, application, principal, dry_run=request.flag("dry_run"))
        return answer({"version": version})

    async def load(self, request: Request) -> Response:
        wanted = [
            Wanted(each.principal, each.external_id, each.position, credentials=each.credentials)
            for each in self._load_body(request.body).mappings
        ]
        loaded = await self._mappings.load(request.call, request.path[0], wanted, dry_run=request.flag("dry_run"))
        return answer(loaded._asdict())

    async def get_own(self, request: Request) -> Response:
        return answer(mapping_document(await self._mappings.get_own(request.call, request.path[0])))

    async def put_own(self, request: Request) -> Response:
        body = self._own_mapping_body(request.body)
        disabled = None if body.enabled is None else not body.enabled
        wanted = Wanted(request.call.caller.name, body.external_id, disabled_by_user=disabled, credentials=body.credentials)
        written = await self._mappings.put_own(request.call, request.path[0], wanted, dry_run=request.flag("dry_run"))
        return answer(_written_document(written))

    async def delete_own(self, request: Request) -> Response:
        version = await self._mappings.delete_own(request.call, request.path[0], dry_run=request.flag("dry_run"))
        return answer({"version": version})

    async def look_up(self, request: Request) -> Response:
        return answer(_disclosed_document(await self._credentials.look_up(request.call, request.path[0])))

    async def issue(self, request: Request) -> Response:
        body_as(d.Empty)(request.body)
        ticket, expires_at = await self._tickets.issue(request.call, request.path[0])
        return answer({"ticket": ticket, "expires_at": time_text(expires_at)})

    async def redeem(self, request: Request) -> Response:
        body = self._redeem_body(request.body)
        disclosed = await self._tickets.redeem(request.call, request.path[0], body.ticket, body.sender)
        return answer(_disclosed_document(disclosed))


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= d.BATCH):
        raise Malformed(f"limit is a number from 1 to {d.BATCH}")
    return int(text)
