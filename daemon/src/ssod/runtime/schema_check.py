"""Ends an ssod whose database is not for it: at its start, or as soon as a database that was lost then says what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ssod.errors import SchemaRefused, SsodError
from ssod.runtime import journal
from ssod.service.offload import Offload
from ssod.storage.repository import Database
from ssod.storage.tolerance import refusal

PAUSE = 1.0


class SchemaCheck:
    def __init__(self, database: Database, offload: Offload) -> None:
        self._database = database
        self._offload = offload
        self._is_known = False
        self.refused: SchemaRefused | None = None

    async def ask(self) -> None:
        """A database that cannot be reached ends no start: a standby still decrypts. Raises SchemaRefused."""
        try:
            await self._look()
        except SchemaRefused:
            raise
        except SsodError as error:
            journal.warning(error.detail)

    async def mind(self, stop: Callable[[], None]) -> None:
        """Asks until the database has answered; where it is none for this version, keeps the refusal and stops the server."""
        while not self._is_known:
            await asyncio.sleep(PAUSE)  # between two questions to a database that is lost
            try:
                await self._look()
            except SchemaRefused as error:
                self.refused = error
                stop()
                return
            except SsodError:
                continue

    async def _look(self) -> None:
        refused = refusal(await self._offload(self._database.schema))
        if refused is not None:
            raise refused
        self._is_known = True
