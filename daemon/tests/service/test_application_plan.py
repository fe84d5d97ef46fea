"""What a change of an application does is told in sentences before it is done."""

from __future__ import annotations

from typing import Any

import pytest

from ssod.service.application_plan import Plan, Wanted, missing, plan
from ssod.storage.records import Application, ApplicationType, Field, Flags, Stored, Uses

FIELDS = (Field("host"), Field("password", masked=True))
APP = Application("app", "d", "c", True, ("group:owners",), ("group:users",), FIELDS, 3)
NOTHING = Stored(Uses(0, 0, 0), {})


def test_a_new_application_is_made_disabled_unless_told_otherwise() -> None:
    wanted = Wanted("new", "", "", (), (), (), None, None, {}).over(None)
    assert wanted == Application("new", "", "", False, (), (), (), 0)
    assert plan(None, wanted, NOTHING) == Plan(["application new of the type config_store is created, disabled"], [])


def test_what_is_not_named_stays_as_it_is() -> None:
    """`enabled`, the type, and each flag."""
    before = APP._replace(type=ApplicationType.GROUP, flags=Flags(tickets_allowed=True, ticket_timeout=60))
    wanted = Wanted("app", "d", "c", APP.administrators, APP.users, FIELDS, None, None, {"ticket_timeout": 90}).over(before)
    assert wanted == before._replace(flags=Flags(tickets_allowed=True, ticket_timeout=90))


def test_who_may_do_what_is_a_set() -> None:
    before = APP._replace(users=("user:a", "user:b"))
    wanted = Wanted("app", "d", "c", APP.administrators, ("user:b", "user:a", "user:b"), FIELDS, None, None, {})
    assert wanted.over(before) == before
    assert plan(before, before, NOTHING) == Plan([], [])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"description": "x"}, "the description changes"),
        ({"contact": "x"}, "the contact changes"),
        ({"enabled": False}, "it is disabled"),
        ({"type": ApplicationType.GROUP}, "the type changes from config_store to group"),
        ({"users": ("group:users", "user:a")}, "user:a is added to the users"),
        ({"administrators": ()}, "group:owners is removed from the administrators"),
        ({"fields": (*FIELDS, Field("port"))}, "field port is added"),
        ({"fields": (*FIELDS, Field("pin", masked=True))}, "field pin is added, masked"),
        ({"fields": FIELDS[:1]}, "field password is removed"),
        ({"fields": (Field("host", masked=True), FIELDS[1])}, "field host is masked"),
        (
            {"fields": (FIELDS[0], Field("password"))},
            "field password is unmasked: its values are shown to everybody who may read the configuration",
        ),
        ({"fields": (Field("host", label="Host"), FIELDS[1])}, "the label of field host changes"),
        ({"fields": FIELDS[::-1]}, "the order of the fields changes"),
        ({"flags": Flags(tickets_allowed=True)}, "tickets_allowed changes from false to true"),
        ({"flags": Flags(ticket_timeout=60)}, "ticket_timeout changes from 120 to 60"),
    ],
)
def test_each_change_is_told(changed: dict[str, Any], told: str) -> None:
    """One change, one sentence; and nothing that is stored is lost where nothing is."""
    assert plan(APP, APP._replace(**changed), NOTHING) == Plan([told], [])


def test_what_a_removed_field_takes_along_is_counted() -> None:
    stored = Stored(Uses(9, 9, 9), {"password": Uses(1, 2, 0)})
    told = plan(APP, APP._replace(fields=FIELDS[:1]), stored)
    assert told.destroys == ["field password is deleted from 1 configuration", "field password is deleted from 2 mappings"]


def test_what_another_type_takes_along_is_counted() -> None:
    told = plan(APP, APP._replace(type=ApplicationType.GROUP), Stored(Uses(3, 0, 1), {}))
    assert told.destroys == ["3 configurations are deleted", "1 unit credential is deleted"]


@pytest.mark.parametrize("type_", ApplicationType)
def test_an_application_that_nobody_may_use_is_incomplete(type_: ApplicationType) -> None:
    """One that keeps configurations may have administrators alone; credentials are looked up by users alone."""
    nobody = APP._replace(type=type_, users=(), administrators=())
    assert len(missing(nobody)) == 1
    assert bool(missing(nobody._replace(administrators=("group:a",)))) == (type_ is not ApplicationType.CONFIG_STORE)
    assert missing(nobody._replace(users=("group:a",))) == []
