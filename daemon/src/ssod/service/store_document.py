"""The document that a store is exported as: values are ciphertexts, and each entry has the shape of a module's options."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ssod.storage.records import ApplicationType, Field, Flags

FORMAT: Final = "holdfast store 1"

# As many entries as one request takes.
MOST = 1000

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Principal = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ApplicationEntry(Entry, frozen=True):
    """As the module application takes it."""

    name: Name
    type: ApplicationType
    enabled: bool
    description: Text = ""
    contact: Text = ""
    administrators: list[Principal] = []
    users: list[Principal] = []
    fields: Annotated[list[Field], msgspec.Meta(max_length=256)] = []
    flags: Flags = Flags()


class RoleEntry(Entry, frozen=True):
    """As the module sso_role takes it."""

    role: Name
    members: Annotated[list[Principal], msgspec.Meta(max_length=1000)]


class ConfigEntry(Entry, frozen=True):
    """As the module application_config takes it."""

    application: Name
    name: Name
    ciphertexts: dict[str, str]


class MappingEntry(Entry, frozen=True):
    """As the module credential_mapping takes it."""

    application: Name
    principal: Principal
    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    ciphertexts: dict[str, str]
    position: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    disabled_by_administrator: bool = False


class DisabledEntry(Entry, frozen=True):
    """A mapping that its own user has disabled: kept apart from what administrators say."""

    application: Name
    principal: Principal


class UnitCredentialEntry(Entry, frozen=True):
    """As the module unit_credential takes it."""

    application: Name
    unit: Name
    credential: Name
    config: Name
    field: Name


class Store(Entry, frozen=True):
    """A part of a store, or all of it, in the order in which an import takes it."""

    format: Literal["holdfast store 1"]
    environment_id: Annotated[str, msgspec.Meta(max_length=36)] = ""
    applications: Annotated[list[ApplicationEntry], msgspec.Meta(max_length=MOST)] = []
    roles: Annotated[list[RoleEntry], msgspec.Meta(max_length=MOST)] = []
    configs: Annotated[list[ConfigEntry], msgspec.Meta(max_length=MOST)] = []
    mappings: Annotated[list[MappingEntry], msgspec.Meta(max_length=MOST)] = []
    disabled_by_user: Annotated[list[DisabledEntry], msgspec.Meta(max_length=MOST)] = []
    unit_credentials: Annotated[list[UnitCredentialEntry], msgspec.Meta(max_length=MOST)] = []


class StorePage(Store, frozen=True):
    """`next` is what the next page is asked for with; null when this one is the last."""

    next: str | None = None


class Counts(Entry, frozen=True):
    applications: int = 0
    roles: int = 0
    configs: int = 0
    mappings: int = 0
    unit_credentials: int = 0


class Imported(Entry, frozen=True):
    """What was added, or in a dry run would be, and what was there already just as it is in the document."""

    created: Counts
    unchanged: Counts
