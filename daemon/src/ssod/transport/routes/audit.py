"""The route that says where the audit log of this server ends."""

from __future__ import annotations

from ssod.service.authority import Authority
from ssod.service.ports import Audit
from ssod.transport import answers as a
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.description import Description


class AuditRoutes:
    """For those who check the log."""

    def __init__(self, authority: Authority, audit: Audit) -> None:
        self._authority = authority
        self._audit = audit

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/audit/head",
                self.head,
                Description("Where the audit log of this server ends", "read audit", a.AuditHead),
            )
        ]

    def head(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "read audit")
        head = self._audit.head
        return answer({"sequence": head.sequence, "head": head.chain})
