"""What a change of an application does, told before it is done: what changes, and which stored data it destroys."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ssod.storage.records import Application, ApplicationType, Field, Flags, Stored, Uses

_NOUNS = ("configuration", "mapping", "unit credential")


class Wanted(NamedTuple):
    """An application as it should be. What is None, and a flag that is not named, stays as it is or has a new one's default."""

    name: str
    description: str
    contact: str
    administrators: tuple[str, ...]
    users: tuple[str, ...]
    fields: tuple[Field, ...]
    enabled: bool | None
    type: ApplicationType | None
    flags: dict[str, bool | int]

    def over(self, before: Application | None) -> Application:
        """The whole application: with the version that is there, 0 for a new one."""
        base = before or Application(self.name, "", "", False, (), (), (), 0)
        return Application(
            self.name,
            self.description,
            self.contact,
            base.enabled if self.enabled is None else self.enabled,
            _as_before(base.administrators, self.administrators),
            _as_before(base.users, self.users),
            self.fields,
            base.version,
            base.type if self.type is None else self.type,
            msgspec.structs.replace(base.flags, **self.flags),
        )


def _as_before(before: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Who may do what is a set: another order of it is no change."""
    return before if set(before) == set(wanted) else tuple(dict.fromkeys(wanted))


class Plan(NamedTuple):
    """Sentences. What `destroys` names cannot be brought back."""

    changes: list[str]
    destroys: list[str]


def missing(application: Application) -> list[str]:
    """Every condition that keeps an application from being of use to anybody."""
    if application.type is not ApplicationType.CONFIG_STORE and not application.users:
        return [f"an application of the type {application.type} is used by its users, and none is named"]
    if not application.users and not application.administrators:
        return ["nobody may use it: it has no users and no administrators"]
    return []


def plan(before: Application | None, wanted: Application, stored: Stored) -> Plan:
    if before is None:
        state = "enabled" if wanted.enabled else "disabled"
        return Plan([f"application {wanted.name} of the type {wanted.type} is created, {state}"], [])
    return Plan(_changes(before, wanted), _destroys(before, wanted, stored))


def _changes(before: Application, wanted: Application) -> list[str]:
    changes = [f"the {each} changes" for each in ("description", "contact") if getattr(before, each) != getattr(wanted, each)]
    if before.type != wanted.type:
        changes.append(f"the type changes from {before.type} to {wanted.type}")
    if before.enabled != wanted.enabled:
        changes.append("it is enabled" if wanted.enabled else "it is disabled")
    for who, old, new in (
        ("administrators", before.administrators, wanted.administrators),
        ("users", before.users, wanted.users),
    ):
        changes += [f"{principal} is added to the {who}" for principal in sorted(set(new) - set(old))]
        changes += [f"{principal} is removed from the {who}" for principal in sorted(set(old) - set(new))]
    return changes + _field_changes(before.fields, wanted.fields) + _flag_changes(before.flags, wanted.flags)


def _field_changes(before: tuple[Field, ...], wanted: tuple[Field, ...]) -> list[str]:
    old, new = {field.name: field for field in before}, {field.name: field for field in wanted}
    changes = [f"field {name} is added{', masked' if new[name].masked else ''}" for name in new if name not in old]
    changes += [f"field {name} is removed" for name in old if name not in new]
    kept = [name for name in new if name in old]
    for name in kept:
        if old[name].masked and not new[name].masked:
            changes.append(f"field {name} is unmasked: its values are shown to everybody who may read the configuration")
        elif new[name].masked and not old[name].masked:
            changes.append(f"field {name} is masked")
        if old[name].label != new[name].label:
            changes.append(f"the label of field {name} changes")
    if kept != [name for name in old if name in new]:
        changes.append("the order of the fields changes")
    return changes


def _flag_changes(before: Flags, wanted: Flags) -> list[str]:
    def text(value: bool | int) -> str:
        return str(value).lower()

    return [
        f"{name} changes from {text(getattr(before, name))} to {text(getattr(wanted, name))}"
        for name in Flags.__struct_fields__
        if getattr(before, name) != getattr(wanted, name)
    ]


def _destroys(before: Application, wanted: Application, stored: Stored) -> list[str]:
    if before.type != wanted.type:
        return deleted_with(stored.all)
    return [
        f"field {name} is deleted from {_counted(count, noun)}"
        for name, uses in stored.by_field.items()
        for count, noun in zip(uses, _NOUNS, strict=True)
        if count
    ]


def deleted_with(uses: Uses) -> list[str]:
    """What goes when everything of an application goes."""
    return [
        f"{_counted(count, noun)} {'is' if count == 1 else 'are'} deleted"
        for count, noun in zip(uses, _NOUNS, strict=True)
        if count
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
