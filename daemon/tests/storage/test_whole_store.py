"""The whole store is read page by page, whatever the database thinks of the order of letters."""

from __future__ import annotations

from sqlalchemy import text

from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application
from ssod.storage.repository import Database
from ssod.storage.whole_store import Cursor, StoreRepository


def test_no_application_is_left_out_between_two_pages(database: Database) -> None:
    """Nor is one there twice: in English B stands between a and c, and in Unicode before both."""
    if database.kind == "postgresql":
        with database.transaction() as connection:
            connection.execute(text('ALTER TABLE application ALTER COLUMN name TYPE varchar(128) COLLATE "en-x-icu"'))
    for name in ("a", "B", "c"):
        ApplicationRepository(database).put(Application(name, "", "", False, (), (), (), 0), None)
    found: list[str] = []
    after: Cursor | None = None
    while True:
        rows, after = StoreRepository(database).page(after, 1)
        found += [each.name for each in rows.applications]
        if after is None:
            break
    assert sorted(found) == ["B", "a", "c"]
