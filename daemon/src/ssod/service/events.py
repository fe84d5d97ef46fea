"""Tells people of an event at most once in the environment: what this server finds is told by it if the database lets it.

Without the database nobody knows whether another server tells the same. So the loss of the database is told only by the server that
was the master when it was lost, and of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ssod.core.alertmanager import News
from ssod.core.events import DATABASE_UNREACHABLE, Due, Finding, Since, Thresholds, due, is_settled, ripen
from ssod.core.findings import Own, Seen, findings
from ssod.core.refusals import days_left
from ssod.core.states import CONFIRMATION_WINDOW, Mastership
from ssod.errors import DatabaseUnavailable
from ssod.service.membership import Membership
from ssod.service.offload import Offload
from ssod.storage.events import EventRepository


class Events:
    """Used from the event loop's thread only. `tell` must not block."""

    def __init__(
        self,
        membership: Membership,
        repository: EventRepository,
        offload: Offload,
        thresholds: Thresholds,
        tell: Callable[[News], None],
    ) -> None:
        self._membership = membership
        self._node = membership.node
        self._repository = repository
        self._offload = offload
        self._thresholds = thresholds
        self._tell = tell
        self._since: Since = {}
        self._since_loss: Since = {}
        # Since when the database has been lost, where this server has told of it.
        self._loss: datetime | None = None
        # Findings that people know of, as the database said: while there are no others it is not asked.
        self._settled: tuple[Finding, ...] | None = None
        # Since when the database has been there (monotonic seconds): while it was not, nobody could confirm anything.
        self._reached: float | None = None
        # The newest confirmation of the master that this server has seen, and when it first did (monotonic seconds).
        self._confirmation: tuple[float | None, float] = (None, 0.0)

    async def look(self) -> None:
        """One look at what holds now, and the telling of what is due."""
        if self._mind_database():
            self._since, self._settled, self._reached = {}, None, None  # it may come back as an older copy
            return
        try:
            await self._mind()
        except DatabaseUnavailable:
            return  # the watcher says so

    def _mind_database(self) -> bool:
        """Whether the database is lost; tells of it, and of its return, if that is for this server to do."""
        node = self._node
        now, lost = node.clock.now(), node.state.database_lost is not None
        subject = node.state.server
        finding = Finding(DATABASE_UNREACHABLE, subject, lost)
        self._since_loss, ripe = ripen(self._since_loss, [finding], now.monotonic, self._thresholds)
        if lost and ripe and self._loss is None and node.state.master == subject:
            self._loss = now.utc
            self._tell(News(DATABASE_UNREACHABLE, subject, "", now.utc, None))
        elif not lost and self._loss is not None:
            began, self._loss = self._loss, None
            self._tell(News(DATABASE_UNREACHABLE, subject, "", began, now.utc))
        return lost

    async def _mind(self) -> None:
        node = self._node
        own = self._own()
        # Of many servers their looks are what they cost the database: who is well, and has a master that is, does not look.
        watches = own.acts or not own.attached or self._misses_confirmations()
        seen = await self._look(servers=own.acts) if watches else None
        now = node.clock.monotonic()
        self._reached = now if self._reached is None else self._reached
        found = [each._replace(held=min(each.held, now - self._reached)) for each in findings(own, seen, self._thresholds)]
        self._since, ripe = ripen(self._since, found, now, self._thresholds)
        if seen is None:
            if ripe == self._settled:
                return
            seen = await self._look(servers=False)
        for each in due(ripe, seen.told, seen.now):
            await self._claim(each)
        self._settled = ripe if is_settled(ripe, seen.told) else None

    async def _look(self, *, servers: bool) -> Seen:
        return await self._offload(self._repository.look, servers)

    def _own(self) -> Own:
        node, known = self._node, self._membership.last_known
        expires = node.certificate_expires
        return Own(
            node.state.server,
            node.state.server in self._membership.enrolled and node.removed is None,
            node.attached,
            node.mastership is Mastership.ACTIVE,
            node.keyring is None and known is not None and known.current_key_id is not None,
            days_left(expires, node.clock.now()) if expires is not None else self._thresholds.certificate_days,
        )

    def _misses_confirmations(self) -> bool:
        """Whether the master has confirmed nothing between two looks: one that is frozen keeps the connections of its followers."""
        environment = self._node.environment
        confirmation = environment.confirmation if environment is not None else None
        last, first_seen = self._confirmation
        if confirmation is None or confirmation != last:
            self._confirmation = (confirmation, self._membership.looked)
            return confirmation is None
        return self._membership.looked - first_seen > CONFIRMATION_WINDOW

    async def _claim(self, what: Due) -> None:
        finding, over = what
        if over is None:
            told = await self._offload(self._repository.begin, finding.event, finding.subject, finding.value)
        else:
            told = await self._offload(self._repository.end, over)
        if told is not None:
            ended = _time(told.ended_at) if told.ended_at is not None else None
            self._tell(News(told.event, told.subject, told.value, _time(told.began_at), ended))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
