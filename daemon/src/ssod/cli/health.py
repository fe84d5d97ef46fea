"""`ssoctl check-health`: one line and an exit code, as Nagios, Icinga and their kin poll a host."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum
from typing import Annotated, NamedTuple

import typer

from ssod.cli.client import path_of
from ssod.cli.documents import Server, Status
from ssod.cli.errors import CliError
from ssod.cli.exit_codes import ExitCode
from ssod.cli.output import say
from ssod.cli.session import session_of
from ssod.cli.tables import is_silent


class Health(IntEnum):
    """The monitoring plugins' exit codes: no others of `ssoctl` come from this command."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Finding(NamedTuple):
    health: Health
    text: str


def check_health(
    context: typer.Context,
    certificate_days: Annotated[
        int, typer.Option("--certificate-days", metavar="DAYS", min=0, help="Warn when the certificate ends sooner.")
    ] = 21,
) -> None:
    """Say in one line whether this server, and what it sees of the others, is well: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    try:
        status = session_of(context).client.read(path_of("status"), Status).document
    except CliError as error:
        health = Health.CRITICAL if error.exit_code == ExitCode.UNREACHABLE else Health.UNKNOWN
        say(f"SSO {health.name} - {error.what}")
        raise typer.Exit(health) from None
    found = sorted(findings(status, certificate_days, datetime.now(UTC)), key=lambda finding: -finding.health)
    worst = found[0].health if found else Health.OK
    told = "; ".join(finding.text for finding in found) or status.server.sentence
    say(f"SSO {worst.name} - {told} | {figures(status, certificate_days)}")
    raise typer.Exit(worst)


def findings(status: Status, certificate_days: int, now: datetime) -> list[Finding]:
    """Everything that is not as it should be."""
    server, environment = status.server, status.environment
    found: list[Finding] = []

    def note(health: Health, text: str) -> None:
        found.append(Finding(health, text))

    if not server.can_encrypt or not server.can_decrypt or server.state != "attached":
        note(Health.CRITICAL if not (server.can_encrypt and server.can_decrypt) else Health.WARNING, server.sentence)
    if server.certificate is not None:
        left = server.certificate.days_left
        if server.certificate.revoked:
            note(Health.CRITICAL, "this server's certificate is revoked: it was removed")
        elif left < certificate_days:
            note(
                Health.CRITICAL if left < 0 else Health.WARNING, f"its certificate has {left} days left: run renew_certificates.yml"
            )
    if not status.database.reachable:
        note(Health.WARNING, f"the SSO database cannot be reached: {status.database.detail or 'no detail'}")
    if environment is None:
        return found
    if environment.current_key_id and environment.backup_verified_at is None:
        note(Health.CRITICAL, "the master secret has no verified backup: run backup_secret.yml")
    if server.unfit and server.mastership != "active":
        note(Health.WARNING, f"not fit to become the master: {'; '.join(server.unfit)}")
    if server.mastership == "active" and status.servers is not None:
        found.extend(
            Finding(Health.WARNING, text) for text in _of_others(status.servers, server.name, environment.current_key_id, now)
        )
    return found


def _of_others(servers: list[Server], master: str, key_id: str | None, now: datetime) -> list[str]:
    """What the master sees of the others; each of them tells of itself, unless it is gone."""
    texts = []
    silent = [each.name for each in servers if is_silent(each, now)]
    if silent:
        texts.append(f"not heard of: {', '.join(sorted(silent))}")
    strangers = [each.name for each in servers if each.name not in silent and each.key_id not in {None, key_id}]
    if strangers:
        texts.append(f"another key id on {', '.join(sorted(strangers))}")
    standbys = [each for each in servers if each.may_become_master and each.name != master]
    if standbys and not [each for each in standbys if each.name not in silent and each.sealed_key_id == key_id]:
        texts.append("no standby could be promoted: none is there with a current sealed copy")
    return texts


def figures(status: Status, certificate_days: int) -> str:
    """Performance data: name=value;warning;critical."""
    figures = [f"attached={int(status.server.state == 'attached')}", f"epoch={status.server.epoch or 0}"]
    if status.server.certificate is not None:
        figures.append(f"certificate_days={status.server.certificate.days_left};{certificate_days}:;0:")
    if status.servers is not None:
        figures.append(f"servers={len(status.servers)}")
    return " ".join(figures)
