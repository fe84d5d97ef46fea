"""Gives the whole store away, with ciphertexts in place of values: it opens none, so it needs no keyring."""

from __future__ import annotations

import msgspec

from ssod.errors import InvalidValue
from ssod.service.authority import Authority
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.service.store_document import StorePage
from ssod.service.store_rows import document_of
from ssod.storage.repository import EnvironmentRepository
from ssod.storage.whole_store import SECTIONS, Cursor, StoreRepository

# As many rows as are asked of the database at a time.
PAGE = 500

_cursors = msgspec.json.Decoder(Cursor)


class StoreExport:
    def __init__(
        self,
        repository: StoreRepository,
        environment: EnvironmentRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
    ) -> None:
        self._repository = repository
        self._environment = environment
        self._authority = authority
        self._audit = audit
        self._offload = offload

    async def page(self, call: Call, after: str | None) -> StorePage:
        """The entries that follow the page whose `next` is `after`. Raises InvalidValue for what no page has said."""
        self._authority.everywhere(call.caller, "export store")
        cursor = None if after is None else _cursor(after)
        self._audit.record(call, "export store", after or "")
        environment = await self._offload(self._environment.read)
        rows, last = await self._offload(self._repository.page, cursor, PAGE)
        return document_of(environment.id, rows, None if last is None else msgspec.json.encode(last).decode())


def _cursor(text: str) -> Cursor:
    try:
        cursor = _cursors.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError):
        cursor = None
    # The keys of the first two sections have one part, those of the others two (storage/whole_store.py).
    if cursor is None or not 0 <= cursor.section < SECTIONS or len(cursor.key) != (1 if cursor.section < 2 else 2):
        raise InvalidValue("`after` is no place in an export", next_step="give the `next` of the page before")
    return cursor
