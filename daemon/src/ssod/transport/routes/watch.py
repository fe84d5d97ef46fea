"""The route of those who want to hear of changes: of an application, or of all that they may read."""

from __future__ import annotations

import asyncio

from ssod.core.access import RIGHTS, Caller
from ssod.errors import ApplicationNotFound, DatabaseUnavailable, Forbidden
from ssod.service.authority import Authority
from ssod.service.feed import Feed, Heard
from ssod.storage.changes import Change, Kind
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import LONGEST_WAIT, Request, Response, Route, answer
from ssod.transport.description import ANYBODY, WAIT, Description, Query

# What lets somebody hear of a change: the act that shows it.
_ACTS: dict[Kind, str] = {
    "application": "read application",
    "config": "list configuration",
    "mapping": "list mappings",
    "unit-credential": "list configuration",
    "role": "read roles",
    "sso": "read roles",
    "certificate": "read roles",
}


class WatchRoutes:
    """Changes of the SSO database."""

    def __init__(self, authority: Authority, feed: Feed) -> None:
        self._authority = authority
        self._feed = feed

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/watch",
                self.watch,
                Description(
                    "What has changed since a cursor, or a wait for it",
                    ANYBODY,
                    a.Watched,
                    query=(
                        Query("application", d.Name, "Of this application only."),
                        Query("after", str, "The cursor of an earlier answer; without one, the answer is that of now."),
                        WAIT,
                    ),
                    problems=(Forbidden, ApplicationNotFound, DatabaseUnavailable),
                ),
                alone=True,
            )
        ]

    async def watch(self, request: Request) -> Response:
        """Names what has changed since the cursor `after`; without one, gives the cursor of now."""
        application = request.query.get("application")
        after, wait = request.query.get("after"), request.seconds("wait", LONGEST_WAIT)
        if application is not None:
            found = await self._authority.find(application)
            self._authority.within(request.call.caller, "list configuration", found)
        if after is None:
            return self._document(Heard(self._feed.cursor, [], lost=False))
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while True:
            moment = self._feed.moment
            heard = self._feed.since(after)
            shown = [each for each in heard.changes if self._may_hear(request.call.caller, each, application)]
            # While nobody tells this server, everybody's cursor is lost: the answer comes when it hears again.
            if (
                shown
                or (heard.lost and self._feed.hears)
                or not await self._feed.wait(application or "", moment, until - loop.time())
            ):
                return self._document(heard._replace(changes=shown))
            request = request.renewed()

    def _may_hear(self, caller: Caller, change: Change, application: str | None) -> bool:
        if application is not None and change.application not in ("", application):
            return False
        known = self._authority.known(change.application)
        # Of an application that is gone only those hear who may read all of them.
        held = self._authority.held(caller, known) if known else self._authority.held_everywhere(caller)
        return not held.isdisjoint(RIGHTS[_ACTS[change.kind]])

    @staticmethod
    def _document(heard: Heard) -> Response:
        return answer({"cursor": heard.cursor, "changes": [each._asdict() for each in heard.changes], "lost": heard.lost})
