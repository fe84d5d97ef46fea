"""Who may do what: one table. It knows roles and acts, no socket and no certificate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from ssod.errors import Forbidden, InvalidValue


class Role(StrEnum):
    """Ordered from all to nothing, then the one that only looks; the words of the original."""

    SSO_ADMINISTRATOR = "SSO Administrator"
    SSO_AFFILIATE_ADMINISTRATOR = "SSO Affiliate Administrator"
    APPLICATION_ADMINISTRATOR = "Application Administrator"
    APPLICATION_USER = "Application User"
    SSO_AUDITOR = "SSO Auditor"


# Environment-wide roles by the name that the API and the database have for them.
ENVIRONMENT_ROLES = {
    "sso_administrator": Role.SSO_ADMINISTRATOR,
    "sso_affiliate_administrator": Role.SSO_AFFILIATE_ADMINISTRATOR,
    "sso_auditor": Role.SSO_AUDITOR,
}

_ADMIN = frozenset({Role.SSO_ADMINISTRATOR})
_AFFILIATE = _ADMIN | {Role.SSO_AFFILIATE_ADMINISTRATOR}
_APP_ADMIN = _AFFILIATE | {Role.APPLICATION_ADMINISTRATOR}
_APP_USER = _APP_ADMIN | {Role.APPLICATION_USER}
_USER_HIMSELF = frozenset({Role.APPLICATION_USER})
_AUDITOR = frozenset({Role.SSO_AUDITOR})

# docs/access.md shows the same table.
RIGHTS: dict[str, frozenset[Role]] = {
    "encrypt": _APP_USER,
    "decrypt": _APP_USER,
    "list configuration": _APP_USER | _AUDITOR,
    "read configuration": _APP_USER,
    "reveal configuration": _APP_USER,
    "change configuration": _APP_ADMIN,
    "read application": _APP_USER | _AUDITOR,
    "change application": _AFFILIATE,
    "change application users": _APP_ADMIN,
    "list mappings": _APP_ADMIN | _AUDITOR,
    "read mapping": _APP_ADMIN | _AUDITOR,
    "manage mappings": _APP_ADMIN,
    "manage own mapping": _USER_HIMSELF,
    "look up own credentials": _USER_HIMSELF,
    "issue ticket": _USER_HIMSELF,
    "redeem ticket": _APP_ADMIN,
    "manage unit credentials": _APP_ADMIN,
    "read roles": _AFFILIATE | _AUDITOR,
    "manage roles": _ADMIN,
    "enable SSO": _ADMIN,
    "read audit": _ADMIN | _AUDITOR,
    "export store": _ADMIN,
    "import store": _ADMIN,
    "manage secret": _ADMIN,
    "manage master": _ADMIN,
    "manage servers": _ADMIN,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. `principals` are what grants can name: `user:NAME` and `group:NAME` for each of his Unix groups, or
    `certificate:NAME`.
    """

    name: str
    principals: frozenset[str]


@dataclass(frozen=True, slots=True)
class Grants:
    """Principals of the environment-wide roles."""

    sso_administrators: frozenset[str] = frozenset()
    sso_affiliate_administrators: frozenset[str] = frozenset()
    sso_auditors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, members: Mapping[str, Iterable[str]]) -> Grants:
        """From the principals of each role by the role's name; a name that is not known grants nothing."""
        return cls(*(frozenset(members.get(name, ())) for name in ENVIRONMENT_ROLES))

    def members(self) -> dict[str, frozenset[str]]:
        """The opposite of `of`."""
        return dict(
            zip(ENVIRONMENT_ROLES, (self.sso_administrators, self.sso_affiliate_administrators, self.sso_auditors), strict=True)
        )

    def __or__(self, other: Grants) -> Grants:
        return Grants(
            self.sso_administrators | other.sso_administrators,
            self.sso_affiliate_administrators | other.sso_affiliate_administrators,
            self.sso_auditors | other.sso_auditors,
        )


def check_principal(principal: str) -> str:
    kind, _, name = principal.partition(":")
    if kind not in {"group", "user", "certificate"} or not name or name != name.strip() or not name.isprintable():
        raise InvalidValue(f"{principal!r} names nobody", next_step="write group:UNIX-GROUP, user:UNIX-USER or certificate:NAME")
    return principal


def roles(caller: Caller, grants: Grants, administrators: Iterable[str] = (), users: Iterable[str] = ()) -> frozenset[Role]:
    """The caller's roles: environment-wide, and in the application whose administrators and users are given."""
    held = set()
    if caller.principals & grants.sso_administrators:
        held.add(Role.SSO_ADMINISTRATOR)
    if caller.principals & grants.sso_affiliate_administrators:
        held.add(Role.SSO_AFFILIATE_ADMINISTRATOR)
    if caller.principals & grants.sso_auditors:
        held.add(Role.SSO_AUDITOR)
    if not caller.principals.isdisjoint(administrators):
        held.add(Role.APPLICATION_ADMINISTRATOR)
    if not caller.principals.isdisjoint(users):
        held.add(Role.APPLICATION_USER)
    return frozenset(held)


def require(act: str, caller: Caller, held: frozenset[Role], what: str = "") -> None:
    """Raises Forbidden, naming who may, unless one of the roles held may act."""
    allowed = RIGHTS[act]
    if held & allowed:
        return
    needed = ", ".join(role for role in Role if role in allowed)
    raise Forbidden(
        f"{caller.name} may not {act}{f' of {what}' if what else ''}: that takes one of {needed}",
        next_step="ask an SSO administrator for a group that has this role; root has none by being root",
        act=act,
        subject=what,
    )
