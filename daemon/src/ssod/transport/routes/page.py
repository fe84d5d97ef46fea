"""The status page, and the one document that it polls."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ssod.core.audit import AuditLine
from ssod.errors import WrongHost
from ssod.service.node import Node
from ssod.service.page import Page, Remembered
from ssod.transport import page_answers as a
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.description import ANYBODY, Description, Html
from ssod.transport.page import HEADERS, PAGE
from ssod.transport.routes.shapes import server_document, time_text
from ssod.transport.routes.status import StatusRoutes


class PageRoutes:
    """What anybody may look at, with the last acts for those who may read the audit log."""

    def __init__(self, node: Node, page: Page, status: StatusRoutes) -> None:
        self._node = node
        self._page = page
        self._status = status

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/", self.html, Description("The status page", ANYBODY, Html, problems=(WrongHost,))),
            Route(
                "GET",
                "/v1/page",
                self.document,
                Description("What the status page shows", ANYBODY, a.Page, problems=(WrongHost,)),
            ),
        ]

    def html(self, _request: Request) -> Response:
        return Response(PAGE, content_type=b"text/html; charset=utf-8", headers=HEADERS)

    async def document(self, request: Request) -> Response:
        status = await self._status.present_document()
        page, caller = self._page, request.call.caller
        acts, refusal = page.acts(caller)
        return answer(
            {
                "now": time_text(self._node.clock.now().utc),
                "level": page.level(status["server"]["unfit"]),
                "status": status,
                "remembered": self._remembered_document(page.remembered()),
                "standings": [each._asdict() | {"since": time_text(each.since)} for each in page.standings()],
                "concerns": page.concerns(),
                "next": page.next_step(),
                "candidates": page.candidates(),
                "reader": {"name": caller.name, "refusal": refusal},
                "acts": [_act_document(each) for each in acts] if acts is not None else None,
            }
        )

    def _remembered_document(self, remembered: Remembered | None) -> dict[str, Any] | None:
        return remembered and {
            "at": time_text(remembered.at),
            "environment": self._status.environment_document(remembered.environment),
            "servers": [server_document(each) for each in remembered.servers],
        }


def _act_document(line: AuditLine) -> dict[str, Any]:
    at = time_text(datetime.fromtimestamp(line.time / 1e9, UTC))
    return {"time": at, "caller": line.caller, "act": line.act, "object": line.subject, "outcome": line.outcome}
