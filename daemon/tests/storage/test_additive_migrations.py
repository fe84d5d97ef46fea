"""An ssod of the version before works on the schema of this one, because a migration only adds what it need not know."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from ssod.storage.engine import connect
from ssod.storage.migrations import OLDEST_TOLERATED, _config, upgrade

REVISIONS = [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()][::-1]

Schema = dict[str, dict[str, Any]]


def schema_of(engine: Engine) -> Schema:
    """Each table's columns, keys, checks and unique indexes: all that can refuse a row of an older version."""
    inspector = inspect(engine)
    return {
        table: {
            "columns": {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)},
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "foreign": sorted((f["referred_table"], f["constrained_columns"]) for f in inspector.get_foreign_keys(table)),
            "unique": sorted(u["column_names"] for u in inspector.get_unique_constraints(table)),
            "unique indexes": sorted(i["column_names"] for i in inspector.get_indexes(table) if i["unique"]),
            "checks": sorted(c["sqltext"] for c in inspector.get_check_constraints(table)),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def what_an_older_version_would_stumble_over(before: Schema, after: Schema) -> list[str]:
    faults = [f"table {table} is gone" for table in before.keys() - after.keys()]
    for table, old in before.items():
        new = after.get(table, old)
        faults += [f"{table}: {part} changed" for part in old if part != "columns" and old[part] != new[part]]
        faults += [f"{table}.{name} changed" for name, column in old["columns"].items() if new["columns"].get(name) != column]
        added = {name: column for name, column in new["columns"].items() if name not in old["columns"]}
        faults += [f"{table}.{name} is new and required" for name, (_, nullable, _) in added.items() if not nullable]
    # An older version deletes a row without knowing of the rows that refer to it.
    faults += [
        f"new table {table} refers to {referred}"
        for table in after.keys() - before.keys()
        for referred, _ in after[table]["foreign"]
        if referred in before
    ]
    return faults


def faults_of(url: str, before: str, after: str) -> list[str]:
    engine = connect(url)
    try:
        upgrade(engine, before)
        old = schema_of(engine)
        upgrade(engine, after)
        return what_an_older_version_would_stumble_over(old, schema_of(engine))
    finally:
        engine.dispose()


@pytest.mark.parametrize(("before", "after"), [pair for pair in pairwise(REVISIONS) if pair[0] >= OLDEST_TOLERATED])
def test_a_migration_only_adds(empty_url: str, before: str, after: str) -> None:
    """Tables that refer to no older one, nullable columns, indexes that refuse nothing."""
    assert faults_of(empty_url, before, after) == []


def test_the_oldest_tolerated_is_not_newer_than_it_must_be(empty_url: str) -> None:
    """The migration to it did more than add: the first version would stumble over required columns and foreign keys."""
    before = REVISIONS[REVISIONS.index(OLDEST_TOLERATED) - 1]
    faults = faults_of(empty_url, before, OLDEST_TOLERATED)
    assert "application.type is new and required" in faults
    assert "new table unit_credential refers to application" in faults
