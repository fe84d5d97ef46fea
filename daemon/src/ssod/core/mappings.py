"""What a credential mapping may be, and which one is a caller's: by the type of its application. It stores and opens nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ssod.core.access import Caller, check_principal
from ssod.errors import InvalidValue

# What an application of each type maps, by the kind of principal. One that is not here keeps no mappings.
PRINCIPALS = {
    "individual": ("user", "certificate"),
    "group": ("group", "user", "certificate"),
    "host_group": ("certificate",),
}
PRINCIPAL_LENGTH = 300


def keeps_mappings(kind: str) -> bool:
    return kind in PRINCIPALS


def is_exclusive(kind: str) -> bool:
    """Whether an external account belongs to one principal only."""
    return kind == "individual"


def unfit(kind: str, fields: Collection[str], principal: str, named: Iterable[str]) -> str | None:
    """Why an application of this type and with these fields cannot keep a mapping of `principal` with the fields `named`."""
    if kind not in PRINCIPALS:
        return f"an application of type {kind} keeps no mappings"
    try:
        check_principal(principal)
    except InvalidValue as refusal:
        return f"{refusal.detail}: {refusal.next_step}"
    if len(principal) > PRINCIPAL_LENGTH:
        return f"it is longer than {PRINCIPAL_LENGTH} characters"
    if principal.partition(":")[0] not in PRINCIPALS[kind]:
        return f"an application of type {kind} maps {' and '.join(f'{each}:NAME' for each in PRINCIPALS[kind])}"
    unknown = sorted(set(named) - set(fields))
    return f"the application has no field {', '.join(unknown)}" if unknown else None


def looked_up(kind: str, caller: Caller, server: str) -> frozenset[str]:
    """The principals whose mapping is the caller's. A program at the socket of `server` is, to a host group, that host."""
    if kind == "group":
        return caller.principals
    if kind == "host_group" and not caller.name.startswith("certificate:"):
        return frozenset({f"certificate:{server}"})
    return frozenset({caller.name})
