"""Who may do what: the whole table of rights, cell by cell."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ssod.core.access import RIGHTS, Caller, Grants, Role, check_principal, require, roles
from ssod.errors import Forbidden, InvalidValue

# One letter a role, in the order of Role: SSO, affiliate and application administrator, application user, auditor (r, reads).
# A cell is a letter.
TABLE = {
    "encrypt": "SAau-",
    "decrypt": "SAau-",
    "list configuration": "SAaur",
    "read configuration": "SAau-",
    "reveal configuration": "SAau-",
    "change configuration": "SAa--",
    "read application": "SAaur",
    "change application": "SA---",
    "change application users": "SAa--",
    "list mappings": "SAa-r",
    "read mapping": "SAa-r",
    "manage mappings": "SAa--",
    "manage own mapping": "---u-",
    "look up own credentials": "---u-",
    "issue ticket": "---u-",
    "redeem ticket": "SAa--",
    "manage unit credentials": "SAa--",
    "read roles": "SA--r",
    "manage roles": "S----",
    "enable SSO": "S----",
    "read audit": "S---r",
    "export store": "S----",
    "import store": "S----",
    "manage secret": "S----",
    "manage master": "S----",
    "manage servers": "S----",
}
CELLS = [
    pytest.param(act, role, letter != "-", id=f"{act}-{role}")
    for act, letters in TABLE.items()
    for role, letter in zip(Role, letters, strict=True)
]

GRANTS = Grants(frozenset({"group:admins", "certificate:ops"}), frozenset({"group:affiliates"}), frozenset({"user:eve"}))


def caller(*principals: str) -> Caller:
    return Caller("user:somebody", frozenset(principals))


def test_the_table_has_every_act_and_no_other() -> None:
    """An act that is added is added here too."""
    assert RIGHTS.keys() == TABLE.keys()


@pytest.mark.parametrize(("act", "role", "allowed"), CELLS)
def test_a_role_may_do_just_what_the_table_says(act: str, role: Role, allowed: bool) -> None:
    """One cell: this role alone may, or is refused with the roles that may."""
    if allowed:
        require(act, caller(), frozenset({role}))
        return
    with pytest.raises(Forbidden) as refusal:
        require(act, caller(), frozenset({role}), "something")
    assert "user:somebody" in refusal.value.detail
    assert "something" in refusal.value.detail
    assert all((each in refusal.value.detail) == (each in RIGHTS[act]) for each in Role)


def test_the_documentation_has_the_same_table() -> None:
    """docs/access.md, cell by cell, with the acts in the same order."""
    text = (Path(__file__).parents[3] / "docs" / "access.md").read_text("utf-8")
    section = text.partition("## Rights")[2].partition("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = [line + [""] * (len(Role) + 1 - len(line)) for line in lines]
    assert head == ["act", *Role]
    assert {cell for row in rows for cell in row[1:]} == {"yes", ""}
    told = {act: {role for role, cell in zip(Role, cells, strict=True) if cell} for act, *cells in rows}
    assert list(told.items()) == list(RIGHTS.items())


@pytest.mark.parametrize("act", RIGHTS)
def test_nobody_may_do_anything(act: str) -> None:
    """Without a role every act is refused."""
    with pytest.raises(Forbidden):
        require(act, caller(), frozenset())


@pytest.mark.parametrize("act", RIGHTS)
def test_more_roles_never_allow_less(act: str) -> None:
    """Any set of roles may do what one of them may."""
    for size in range(1, len(Role) + 1):
        for held in itertools.combinations(Role, size):
            allowed = bool(set(held) & RIGHTS[act])
            try:
                require(act, caller(), frozenset(held))
                assert allowed
            except Forbidden:
                assert not allowed


@pytest.mark.parametrize(
    ("principals", "held"),
    [
        ([], set()),
        (["group:root"], set()),
        (["group:admins"], {Role.SSO_ADMINISTRATOR}),
        (["certificate:ops"], {Role.SSO_ADMINISTRATOR}),
        (["group:ops"], set()),
        (["certificate:admins"], set()),
        (["group:affiliates"], {Role.SSO_AFFILIATE_ADMINISTRATOR}),
        (["group:owners"], {Role.APPLICATION_ADMINISTRATOR}),
        (["certificate:job"], {Role.APPLICATION_USER}),
        (["group:admins", "group:owners", "certificate:job"], {*Role} - {Role.SSO_AFFILIATE_ADMINISTRATOR, Role.SSO_AUDITOR}),
        (["user:eve"], {Role.SSO_AUDITOR}),
        (["user:root", "group:eve"], set()),
        (["group:ADMINS"], set()),
        (["group:admin"], set()),
    ],
)
def test_roles_come_from_the_principals_that_are_granted(principals: list[str], held: set[Role]) -> None:
    """A grant names one principal exactly: kind and name; root is nobody by being root."""
    assert roles(caller(*principals), GRANTS, ["group:owners"], ["certificate:job"]) == held


def test_an_application_gives_no_role_outside_of_itself() -> None:
    """Where no application is asked about, only the environment-wide roles count."""
    assert roles(caller("group:owners"), GRANTS) == frozenset()


@pytest.mark.parametrize("principal", ["group:g", "user:alice", "certificate:web.example", "group:with space inside"])
def test_a_principal_names_a_group_a_user_or_a_certificate(principal: str) -> None:
    """The three kinds are accepted, and given back as they are."""
    assert check_principal(principal) == principal


@pytest.mark.parametrize(
    "principal", ["", "g", "group:", "certificate:", "user:", "unit:u", "GROUP:g", ":g", "group: g", "group:g ", "group:g\ng"]
)
def test_what_names_nobody_is_refused(principal: str) -> None:
    """A principal without a known kind, or without a name, is refused when it is written, not when it is used."""
    with pytest.raises(InvalidValue):
        check_principal(principal)
