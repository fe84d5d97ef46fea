"""The whole store is read page by page, whatever the database thinks of the order of letters, and added to as it was judged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from ssod.errors import VersionConflict
from ssod.storage.applications import ApplicationRepository
from ssod.storage.records import Application, ConfigRecord
from ssod.storage.repository import Database
from ssod.storage.whole_store import Cursor, Rows, StoreRepository


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


def test_what_fitted_an_application_is_not_added_to_another(database: Database) -> None:
    """One that was changed, or is gone, since the values were looked at."""
    applications, store = ApplicationRepository(database), StoreRepository(database)
    now = datetime(2026, 1, 2, tzinfo=UTC)
    applications.put(Application("app", "", "", False, (), (), (), 0), None)
    rows = Rows([], {}, [ConfigRecord("app", "in", 0, now, {})], [], [])
    judged_by = store.existing(rows).applications
    changed = applications.put(Application("app", "changed", "", False, (), (), (), 0), None)
    with pytest.raises(VersionConflict):
        store.add(rows, None, now, judged_by)
    applications.delete("app", with_data=False)
    with pytest.raises(VersionConflict):
        store.add(rows, None, now, [changed])
    applications.put(changed, None)
    store.add(rows, None, now, store.existing(rows).applications)
    assert [each.name for each in applications.configs("app")] == ["in"]
