"""Turns documents into tables that can be pasted into an incident channel: whole names, no colour needed to read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ssod.cli.documents import (
    Application,
    Config,
    ConfigSummary,
    Credentials,
    Environment,
    Mapping,
    Master,
    Notified,
    Revocation,
    Role,
    Sealing,
    Server,
    Status,
    ThisServer,
    UnitCredential,
)
from ssod.cli.output import printable
from ssod.cli.secret_documents import Key, Rotation, Secret
from ssod.core import silence

if TYPE_CHECKING:
    from rich.table import Table

MASKED = "(masked)"
NONE = "-"


def table(columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Table:
    """A table with a heading; a cell is folded on a narrow terminal, never cut."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(NONE if cell is None else cell)) for cell in row))
    return made


def facts(rows: Iterable[tuple[str, str | None]]) -> Table:
    """Names on the left, their values on the right."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        made.add_row(Text(name), Text(printable(NONE if value is None else value)))
    return made


def yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def number(value: int | None) -> str | None:
    return None if value is None else str(value)


def compared(key_id: str | None, current: str | None) -> str:
    """Whole ids are compared; only what differs is shown, and by its beginning, so that a row fits on a terminal."""
    if key_id is None:
        return "none"
    return "current" if key_id == current else f"other: {key_id[:8]}"


def status_facts(status: Status) -> Table:
    server = status.server
    environment = status.environment
    database = status.database
    may = "may become master" if server.may_become_master else "may not become master"
    reach = "reachable" if database.reachable else "NOT reachable"
    rows: list[tuple[str, str | None]] = [
        ("this server", f"{server.name}, ssod {server.version}, {server.mastership}, {may}"),
        ("state", server.state + (f" since {server.since}" if server.since else "")),
        ("encrypts / decrypts", f"{yes_no(server.can_encrypt)} / {yes_no(server.can_decrypt)}"),
        ("key id", server.key_id),
        ("mastership", _managed(server)),
        ("sealed copy", compared(server.sealed_key_id, server.key_id)),
        *_sealing_rows(server.sealing),
        ("certificate until", _certificate(server)),
        ("database", ", ".join(part for part in (database.kind, reach, database.detail) if part)),
    ]
    rows += [("NOT FIT as master", reason) for reason in server.unfit]
    return facts(rows + _environment_rows(environment))


def _sealing_rows(sealing: Sealing | None) -> list[tuple[str, str | None]]:
    if sealing is None or sealing.key is None:
        return []
    under = sealing.sealed_under
    rows: list[tuple[str, str | None]] = [
        ("sealed with", sealing.key + (f", and the copy is under {under} still" if under not in {None, sealing.key} else ""))
    ]
    if sealing.cache is not None:
        cache = sealing.cache
        used = f"; IN USE without the master until {cache.used_until}" if cache.used_until else ""
        vouched = f"vouched for at {cache.vouched_at}" if cache.vouched_at else "not vouched for yet"
        rows.append(("sealed cache", f"{vouched}, of use for {cache.max_age_seconds:.0f} s{used}"))
    reasons = [sealing.problem, sealing.cache.refusal if sealing.cache is not None else None]
    return rows + [("SEALING", reason) for reason in reasons if reason is not None]


def _certificate(server: ThisServer) -> str | None:
    if server.certificate is None:
        return server.certificate_expires_at
    left = f"{server.certificate.days_left} days left" if server.certificate.days_left >= 0 else "EXPIRED"
    return f"{server.certificate_expires_at}, {left}{', REVOKED' if server.certificate.revoked else ''}"


def _managed(server: ThisServer) -> str:
    if server.managed_by != "cluster":
        return f"managed by the {server.managed_by}"
    return f"managed by the cluster, which has {'given' if server.mandate else 'not given'} it to this server"


def _environment_rows(environment: Environment | None) -> list[tuple[str, str | None]]:
    if environment is None:
        return [("environment", "not known while the database cannot be reached")]
    disabled = [("SSO", f"DISABLED everywhere since {environment.disabled_at}")] if environment.disabled_at else []
    return [
        ("environment", environment.id),
        *disabled,
        ("master", f"{environment.master or 'none'}, epoch {environment.epoch}{_since(environment.epoch_since)}"),
        ("current key id", environment.current_key_id),
        (
            "backup",
            f"verified {environment.backup_verified_at} at {environment.backup_place or 'an unnamed place'}"
            if environment.backup_verified_at
            else "NONE VERIFIED",
        ),
    ]


def revocations_table(revocations: Iterable[Revocation]) -> Table:
    return table(
        ["certificate of", "revoked", "would expire", "serial", "key"],
        [[each.name, each.revoked_at, each.expires_at, each.serial, each.key] for each in revocations],
    )


def _since(moment: str | None) -> str:
    return f", since {moment}" if moment else ""


def servers_table(servers: Iterable[Server], *, master: str | None, current_key_id: str | None) -> Table:
    return table(
        ["server", "address", "role", "attached", "keyring", "sealed copy", "epoch", "version", "last heard of"],
        [
            [
                server.name,
                server.address,
                _role(server, master),
                _attached(server),
                compared(server.key_id, current_key_id),
                compared(server.sealed_key_id, current_key_id),
                number(server.epoch),
                server.version,
                server.last_seen,
            ]
            for server in servers
        ],
    )


def is_silent(server: Server, now: datetime) -> bool:
    """Whether a server has said nothing for so long that it is not what it last said."""
    return silence.is_silent(datetime.fromisoformat(server.last_seen) if server.last_seen is not None else None, now)


def _attached(server: Server) -> str | None:
    """What a server last said is not passed off as the present: one that died said nothing of it."""
    return "SILENT" if server.attached and is_silent(server, datetime.now(UTC)) else yes_no(server.attached)


def _role(server: Server, master: str | None) -> str:
    if server.name == master:
        return "master"
    return "standby" if server.may_become_master else "server"


def notified_table(servers: Iterable[Notified], *, title: str = "server") -> Table:
    return table(
        [title, "reachable", "attached", "key id", "epoch", "seconds", "detail"],
        [
            [
                server.name,
                yes_no(server.reachable),
                yes_no(server.attached),
                server.key_id,
                number(server.epoch),
                None if server.seconds is None else f"{server.seconds:.2f}",
                server.detail,
            ]
            for server in servers
        ],
    )


def master_facts(master: Master) -> Table:
    return facts(
        [
            ("master", master.master or "none"),
            ("epoch", number(master.epoch)),
            ("this server", f"{master.this_server}, {master.mastership}"),
            ("may become master", yes_no(master.may_become_master)),
            ("managed by", master.managed_by),
        ]
    )


def secret_facts(secret: Secret) -> Table:
    backup = secret.backup
    return facts(
        [
            ("environment", secret.environment_id),
            ("current key id", secret.current_key_id or "none: not generated yet"),
            ("generated", secret.generated_at),
            ("epoch", number(secret.epoch)),
            ("sealed copy here", compared(secret.sealed_key_id, secret.current_key_id)),
            (
                "backup",
                f"{compared(backup.key_id, secret.current_key_id)}, verified {backup.verified_at}"
                f" at {backup.place or 'an unnamed place'}"
                if backup
                else "NONE VERIFIED",
            ),
        ]
    )


def rotation_facts(rotation: Rotation) -> Table:
    coming = rotation.next
    backed_up = "verified backup" if coming and coming.backup else "NO VERIFIED BACKUP YET"
    return facts(
        [
            ("current key id", rotation.current_key_id or "none: not generated yet"),
            ("next key id", f"{coming.key_id}, {backed_up}" if coming else "none: no rotation is being prepared"),
            *((f"values under {key}", f"{count:,}") for key, count in rotation.values.items()),
            ("to re-encrypt", f"{rotation.left:,} values" if rotation.left else "nothing"),
        ]
    )


def keys_table(keys: Iterable[Key], held: Iterable[str]) -> Table:
    here = set(held)
    return table(
        ["key id", "state", "created", "retired", "held here"],
        [[key.key_id, key.state, key.created_at, key.retired_at or "-", yes_no(key.key_id in here)] for key in keys],
    )


def applications_table(applications: Iterable[Application]) -> Table:
    return table(
        ["application", "type", "enabled", "fields", "version", "description"],
        [
            [
                application.name,
                application.type,
                yes_no(application.enabled),
                _field_names(application),
                number(application.version),
                application.description,
            ]
            for application in applications
        ],
    )


def application_facts(application: Application) -> Table:
    return facts(
        [
            ("application", application.name),
            ("description", application.description),
            ("contact", application.contact),
            ("type", application.type),
            ("enabled", yes_no(application.enabled)),
            ("administrators", ", ".join(application.administrators)),
            ("users", ", ".join(application.users)),
            ("fields", _field_names(application)),
            ("flags", ", ".join(f"{name} {_flag(value)}" for name, value in application.flags.items())),
            ("version", number(application.version)),
        ]
    )


def _flag(value: bool | int) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def roles_table(roles: Iterable[Role]) -> Table:
    return table(
        ["role", "members", "by the file of this server"],
        [[role.role, ", ".join(role.members), ", ".join(role.configured)] for role in roles],
    )


def _field_names(application: Application) -> str:
    return ", ".join(f"{field.name} {MASKED}" if field.masked else field.name for field in application.fields)


def configs_table(configs: Iterable[ConfigSummary]) -> Table:
    return table(
        ["configuration", "version", "changed", "fields"],
        [[config.name, number(config.version), config.updated_at, ", ".join(config.fields)] for config in configs],
    )


def config_table(config: Config) -> Table:
    hidden = [name for name in config.masked if name not in config.properties]
    return table(
        ["field", "value"],
        sorted([*config.properties.items(), *((name, MASKED) for name in hidden)]),
    )


def unit_credentials_table(given: Iterable[UnitCredential]) -> Table:
    return table(
        ["unit", "credential", "configuration", "field"],
        [[each.unit, each.credential, each.config, each.field] for each in given],
    )


def mappings_table(mappings: Iterable[Mapping]) -> Table:
    return table(
        ["principal", "account", "position", "enabled", "version", "fields"],
        [[m.principal, m.external_id, number(m.position), _enabled(m), number(m.version), ", ".join(m.fields)] for m in mappings],
    )


def mapping_facts(mapping: Mapping) -> Table:
    return facts(
        [
            ("principal", mapping.principal),
            ("account", mapping.external_id),
            ("position", number(mapping.position)),
            ("enabled", _enabled(mapping)),
            ("fields", ", ".join(mapping.fields)),
            ("key id", mapping.key_id),
            ("version", number(mapping.version)),
            ("changed", mapping.updated_at),
        ]
    )


def _enabled(mapping: Mapping) -> str:
    by = [("its user", mapping.disabled_by_user), ("an administrator", mapping.disabled_by_administrator)]
    disabled = [who for who, is_so in by if is_so]
    return f"no: disabled by {' and by '.join(disabled)}" if disabled else "yes"


def credentials_table(credentials: Credentials) -> Table:
    return table(["field", "value"], sorted(credentials.credentials.items()))
