"""The hook for events, as the configuration file has it: the looks for what is to be told, and the couriers that carry it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ssod.config import EventsConfig, TlsConfig
from ssod.core.alertmanager import News, Origin, message
from ssod.core.events import Thresholds
from ssod.runtime import journal, program
from ssod.runtime.courier import Courier
from ssod.service.events import Events
from ssod.service.membership import Membership
from ssod.service.offload import Offload, disk_silent
from ssod.storage.events import EventRepository
from ssod.storage.repository import Database
from ssod.transport.webhook import Webhook

# Between two looks for events. Of the times for which one must hold, the shortest by default is three such.
PAUSE = 5.0


class Hook:
    """Does nothing where nobody is to be told."""

    def __init__(
        self,
        config: EventsConfig,
        tls: TlsConfig,
        address: str,
        membership: Membership,
        database: Database,
        looks: Offload,
        count: Callable[[bool], None],
    ) -> None:
        self._origin = Origin(config.environment, address, config.runbooks)
        self._couriers: list[Courier] = []
        if config.webhook is not None:
            webhook = Webhook(config.webhook, config.webhook_ca, (tls.certificate, tls.key))
            self._couriers.append(Courier("webhook", webhook, count))
        if config.program is not None:
            self._programs = Offload(1, program.SECONDS + 5, disk_silent)
            self._program = program.Program(config.program)
            self._couriers.append(Courier(config.program, self._start, count))
            unsafe = program.problem(config.program)
            if unsafe is not None:
                journal.error("the program for events will not be started", why=unsafe)
        thresholds = Thresholds(config.master_lost_after, config.certificate_days, config.secret_days)
        self._events = Events(membership, EventRepository(database), looks, thresholds, self._tell)

    def loops(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._look, *(courier.once for courier in self._couriers)] if self._couriers else []

    async def _look(self) -> None:
        await self._events.look()
        await asyncio.sleep(PAUSE)  # the interval is the promise

    async def _start(self, body: bytes) -> None:
        await self._programs(self._program, body)

    def _tell(self, news: News) -> None:
        body = message(news, self._origin)
        for courier in self._couriers:
            courier.take(news.event, body)
