"""`ssoctl unit-credential`: which value a systemd unit is given under which name. No value passes through here."""

from __future__ import annotations

from typing import Annotated

import typer

from ssod.cli.asking import confirm
from ssod.cli.client import path_of
from ssod.cli.documents import UnitCredential, UnitCredentials, UnitCredentialWritten
from ssod.cli.journal import Act
from ssod.cli.output import say, show, show_document
from ssod.cli.session import AsJson, DryRun, Yes, session_of
from ssod.cli.tables import unit_credentials_table

app = typer.Typer(no_args_is_help=True, help="The values that systemd units load with LoadCredential=.")

Owner = Annotated[str, typer.Argument(metavar="APP")]
Unit = Annotated[str, typer.Argument(metavar="UNIT", help="Its whole name: job.service, or job@.service for all instances.")]
Credential = Annotated[str, typer.Argument(metavar="CREDENTIAL", help="The name of the file that the unit finds the value in.")]


@app.command("list")
def list_credentials(context: typer.Context, application: Owner, as_json: AsJson = False) -> None:
    """What an application gives to units: names, no values."""
    answer = session_of(context).client.read(path_of("applications", application, "unit-credentials"), UnitCredentials)
    if as_json:
        show_document(answer.raw)
    else:
        show(unit_credentials_table(answer.document.unit_credentials))


@app.command("set")
def set_credential(
    context: typer.Context,
    *,
    application: Owner,
    unit: Unit,
    credential: Credential,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The configuration.")],
    field: Annotated[str, typer.Argument(metavar="FIELD")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give a unit one field of a configuration. The unit itself then says LoadCredential=CREDENTIAL:/run/ssod/credentials.sock."""
    client = session_of(context).client
    path, body = _path(application, unit, credential), {"config": name, "field": field}
    if dry_run:
        answer = client.compute(path + "?dry_run=true", body, UnitCredentialWritten, method="PUT")
    else:
        answer = client.act("PUT", path, body, UnitCredentialWritten, _act(application, unit, credential, "given"))
    if as_json:
        show_document(answer.raw)
        return
    done = "would be given" if dry_run else "is given"
    say(f"{unit} {done if answer.document.changed else 'is given already'}: {credential} = {application}/{name}/{field}")


@app.command()
def delete(
    context: typer.Context,
    *,
    application: Owner,
    unit: Unit,
    credential: Credential,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give a unit a value no longer: it will not start any more while it loads that credential."""
    client = session_of(context).client
    path = _path(application, unit, credential)
    if dry_run:
        answer = client.compute(path + "?dry_run=true", None, UnitCredential, method="DELETE")
    else:
        confirm(f"give {unit} no {credential} any more: it will not start while it loads that", yes=yes)
        answer = client.act("DELETE", path, None, UnitCredential, _act(application, unit, credential, "taken away"))
    if as_json:
        show_document(answer.raw)
    else:
        say(f"{credential} {'would be' if dry_run else 'is'} taken away from {unit}")


def _path(application: str, unit: str, credential: str) -> str:
    return path_of("applications", application, "unit-credentials", unit, credential)


def _act(application: str, unit: str, credential: str, done: str) -> Act:
    return Act(f"credential {credential} of {unit} was {done}", f"ssoctl unit-credential list {application}")
