"""Which principals an application of each type maps, and which mapping is a caller's."""

from __future__ import annotations

import pytest

from ssod.core.access import Caller
from ssod.core.mappings import PRINCIPAL_LENGTH, is_exclusive, keeps_mappings, looked_up, unfit

ALICE = Caller("user:alice", frozenset({"user:alice", "group:staff"}))
JOB = Caller("certificate:job", frozenset({"certificate:job"}))
LONG = "certificate:" + "n" * PRINCIPAL_LENGTH


@pytest.mark.parametrize(
    ("kind", "fitting", "others"),
    [
        ("individual", ["user:a", "certificate:a"], ["group:a", "a", "unit:a.service", "user:", "user: a", LONG, ""]),
        ("group", ["user:a", "certificate:a", "group:a"], ["a", "unit:a.service", LONG]),
        ("host_group", ["certificate:a"], ["user:a", "group:a", "a", LONG]),
        ("config_store", [], ["user:a", "certificate:a", "group:a"]),
    ],
)
def test_each_type_maps_its_own_principals(kind: str, fitting: list[str], others: list[str]) -> None:
    assert [unfit(kind, {"pin"}, principal, ["pin"]) for principal in fitting] == [None] * len(fitting)
    assert all(unfit(kind, {"pin"}, principal, []) for principal in others)


def test_only_declared_fields_are_kept() -> None:
    problem = unfit("individual", {"pin", "password"}, "user:a", ["pin", "b", "a"])
    assert problem == "the application has no field a, b"


def test_only_an_individual_application_is_exclusive_and_a_configuration_store_keeps_none() -> None:
    kinds = ("individual", "group", "host_group", "config_store")
    assert [is_exclusive(kind) for kind in kinds] == [True, False, False, False]
    assert [keeps_mappings(kind) for kind in kinds] == [True, True, True, False]


def test_a_caller_s_mapping_is_found_by_what_he_is() -> None:
    """Oneself, all that one is, or the host that one comes from."""
    assert looked_up("individual", ALICE, "s1") == {"user:alice"}
    assert looked_up("individual", JOB, "s1") == {"certificate:job"}
    assert looked_up("group", ALICE, "s1") == {"user:alice", "group:staff"}
    assert looked_up("host_group", ALICE, "s1") == {"certificate:s1"}
    assert looked_up("host_group", JOB, "s1") == {"certificate:job"}
