"""Turns a store's rows into its document and back, and says what of a document cannot be. It opens no value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

from ssod.core import envelope
from ssod.core.access import ENVIRONMENT_ROLES, check_principal
from ssod.core.mappings import is_exclusive, unfit
from ssod.errors import Rejected
from ssod.service import store_document as d
from ssod.service.application_plan import missing
from ssod.service.applications import check_name
from ssod.service.units import check_names
from ssod.storage import records as r
from ssod.storage.whole_store import OwnedMapping, Rows

# What has not been stored yet has no time; whoever stores it gives it one.
_NEVER = datetime.min.replace(tzinfo=UTC)


def document_of(environment_id: str, rows: Rows, next_page: str | None) -> d.StorePage:
    return d.StorePage(
        format=d.FORMAT,
        environment_id=environment_id,
        applications=[
            d.ApplicationEntry(
                name=a.name,
                type=a.type,
                enabled=a.enabled,
                description=a.description,
                contact=a.contact,
                administrators=list(a.administrators),
                users=list(a.users),
                fields=list(a.fields),
                flags=a.flags,
            )
            for a in rows.applications
        ],
        roles=[d.RoleEntry(role=role, members=sorted(members)) for role, members in rows.roles.items()],
        configs=[d.ConfigEntry(application=c.application, name=c.name, ciphertexts=_to_texts(c.envelopes)) for c in rows.configs],
        mappings=[
            d.MappingEntry(
                application=application,
                principal=mapping.principal,
                external_id=mapping.external_id,
                ciphertexts=_to_texts(envelopes),
                position=mapping.position,
                disabled_by_administrator=mapping.disabled_by_administrator,
            )
            for application, (mapping, envelopes) in rows.mappings
        ],
        disabled_by_user=[
            d.DisabledEntry(application=application, principal=mapping.principal)
            for application, (mapping, _) in rows.mappings
            if mapping.disabled_by_user
        ],
        unit_credentials=[d.UnitCredentialEntry(**unit._asdict()) for unit in rows.unit_credentials],
        next=next_page,
    )


def _to_texts(envelopes: Mapping[str, bytes]) -> dict[str, str]:
    return {field: envelope.to_text(each) for field, each in sorted(envelopes.items())}


def rows_of(store: d.Store, conditions: list[str]) -> Rows:
    """The rows; to `conditions` is added what is no ciphertext."""
    disabled = {(each.application, each.principal) for each in store.disabled_by_user}
    configs = [
        r.ConfigRecord(c.application, c.name, 0, _NEVER, from_texts(config_name(c.application, c.name), c.ciphertexts, conditions))
        for c in store.configs
    ]
    mappings = []
    for m in store.mappings:
        envelopes = from_texts(mapping_name(m.application, m.principal), m.ciphertexts, conditions)
        by_user = (m.application, m.principal) in disabled
        mapping = r.Mapping(m.principal, m.external_id, m.position, by_user, m.disabled_by_administrator, 0, None, {})
        mappings.append(OwnedMapping(m.application, r.SealedMapping(mapping, envelopes)))
    return Rows(
        [
            r.Application(
                a.name,
                a.description,
                a.contact,
                a.enabled,
                tuple(a.administrators),
                tuple(a.users),
                tuple(a.fields),
                0,
                a.type,
                a.flags,
            )
            for a in store.applications
        ],
        {each.role: frozenset(each.members) for each in store.roles},
        configs,
        mappings,
        [r.UnitCredential(u.unit, u.credential, u.application, u.config, u.field) for u in store.unit_credentials],
    )


def from_texts(what: str, texts: Mapping[str, str], conditions: list[str]) -> dict[str, bytes]:
    """The envelopes by field; to `conditions` is added what is none."""
    envelopes = {}
    for field, text in texts.items():
        try:
            envelopes[field] = envelope.from_text(text)
        except Rejected as refusal:
            conditions.append(f"{what}, field {field}: {refusal.detail}")
    return envelopes


def config_name(application: str, name: str) -> str:
    return f"configuration {application}/{name}"


def mapping_name(application: str, principal: str) -> str:
    return f"mapping {application}/{principal}"


def unit_name(unit: str, credential: str) -> str:
    return f"credential {credential} of unit {unit}"


def names(rows: Rows) -> Iterator[str]:
    """What each row is called."""
    yield from (f"application {each.name}" for each in rows.applications)
    yield from (f"role {role}" for role in rows.roles)
    yield from (config_name(each.application, each.name) for each in rows.configs)
    yield from (mapping_name(application, mapping.principal) for application, (mapping, _) in rows.mappings)
    yield from (unit_name(each.unit, each.credential) for each in rows.unit_credentials)


def counts(rows: Rows) -> d.Counts:
    return d.Counts(len(rows.applications), len(rows.roles), len(rows.configs), len(rows.mappings), len(rows.unit_credentials))


def faults(store: d.Store, wanted: Rows, applications: Mapping[str, r.Application]) -> Iterator[str]:
    """What cannot be, of a document and the rows that it became, where `applications` are all that there would be."""
    roles = Counter(f"role {each.role}" for each in store.roles)  # as rows they are a dictionary already
    yield from (f"{what} is there {times} times" for what, times in (Counter(names(wanted)) | roles).items() if times > 1)
    mapped = {(each.application, each.principal) for each in store.mappings}
    for each in store.disabled_by_user:
        if (each.application, each.principal) not in mapped:
            yield f"{mapping_name(each.application, each.principal)} is disabled by its user, and is not among the mappings"
    for application in wanted.applications:
        yield from _application_faults(application)
    for role, members in wanted.roles.items():
        if role not in ENVIRONMENT_ROLES:
            yield f"there is no role {role}"
        yield from _refusals(f"role {role}", map(_principal, sorted(members)))
    yield from _data_faults(wanted, applications)


def _application_faults(application: r.Application) -> Iterator[str]:
    what = f"application {application.name}"
    fields = [field.name for field in application.fields]
    yield from _refusals(
        what,
        [
            partial(check_name, "application", application.name),
            *(partial(check_name, "field", name) for name in fields),
            *map(_principal, (*application.administrators, *application.users)),
        ],
    )
    if len(fields) != len(set(fields)):
        yield f"{what} declares a field twice"
    if application.enabled:
        yield from (f"{what}: {condition}" for condition in missing(application))


def _data_faults(wanted: Rows, applications: Mapping[str, r.Application]) -> Iterator[str]:
    for config in wanted.configs:
        what = config_name(config.application, config.name)
        yield from _refusals(what, [partial(check_name, "configuration", config.name)])
        yield from _undeclared(what, applications.get(config.application), config.envelopes)
    owners: dict[tuple[str, str], str] = {}
    for name, (mapping, envelopes) in wanted.mappings:
        what, application = mapping_name(name, mapping.principal), applications.get(name)
        if application is None:
            yield f"{what}: there is no such application"
            continue
        fields = {field.name for field in application.fields}
        problem = unfit(application.type, fields, mapping.principal, envelopes)
        if problem:
            yield f"{what}: {problem}"
        owner = owners.setdefault((name, mapping.external_id), mapping.principal)
        if is_exclusive(application.type) and owner != mapping.principal:
            yield f"{what}: {mapping.external_id} is the account of {owner}"
    for unit in wanted.unit_credentials:
        what = unit_name(unit.unit, unit.credential)
        yield from _refusals(what, [partial(check_names, unit.unit, unit.credential)])
        yield from _undeclared(what, applications.get(unit.application), [unit.field])


def _undeclared(what: str, application: r.Application | None, fields: Iterable[str]) -> Iterator[str]:
    if application is None:
        yield f"{what}: there is no such application"
        return
    unknown = sorted(set(fields) - {field.name for field in application.fields})
    if unknown:
        yield f"{what}: the application has no field {', '.join(unknown)}"


def _principal(principal: str) -> Callable[[], object]:
    return partial(check_principal, principal)


def _refusals(what: str, checks: Iterable[Callable[[], object]]) -> Iterator[str]:
    for check in checks:
        try:
            check()
        except Rejected as refusal:
            yield f"{what}: {refusal.detail}"
