"""`ssoctl mapping`: whose account outside is whose here. Credentials come from a file or a prompt, never argv; none is shown."""

from __future__ import annotations

from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.asking import confirm, somebody_is_there
from ssod.cli.client import Client, path_of
from ssod.cli.documents import Application, Mapping, MappingDeleted, Mappings, MappingWritten
from ssod.cli.errors import ProblemAnswer, UsageRefused
from ssod.cli.journal import Act
from ssod.cli.json_input import read_object
from ssod.cli.mapping_load import load
from ssod.cli.output import say, show, show_document, warn
from ssod.cli.session import AsJson, DryRun, IfVersion, Yes, session_of
from ssod.cli.tables import mapping_facts, mappings_table

app = typer.Typer(no_args_is_help=True, help="Credential mappings: whose account outside is whose here.")

# In place of a principal: whoever runs ssoctl.
OWN = "own"

Owner = Annotated[str, typer.Argument(metavar="APP")]
Principal = Annotated[
    str, typer.Argument(metavar="PRINCIPAL", help="user:NAME, group:NAME or certificate:NAME; `own`: the mapping that is yours.")
]


@app.command("list")
def list_mappings(
    context: typer.Context,
    *,
    application: Owner,
    external_id: Annotated[str | None, typer.Option("--external-id", metavar="ACCOUNT", help="Only those of this account.")] = None,
    after: Annotated[str, typer.Option("--after", metavar="PRINCIPAL", help="Only those that follow this one.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="No more than so many.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """The mappings of an application, in the order of their principals: no values."""
    answer = session_of(context).client.read(_query(application, after, limit, external_id), Mappings)
    if as_json:
        show_document(answer.raw)
        return
    show(mappings_table(answer.document.mappings))
    if answer.document.next is not None:
        warn(f"there are more: --after {answer.document.next}")


@app.command("show")
def show_mapping(context: typer.Context, application: Owner, principal: Principal, as_json: AsJson = False) -> None:
    """One mapping: which fields are set, and no value."""
    answer = session_of(context).client.read(_path(application, principal), Mapping)
    if as_json:
        show_document(answer.raw)
    else:
        show(mapping_facts(answer.document))


@app.command()
def put(
    context: typer.Context,
    *,
    application: Owner,
    principal: Principal,
    external_id: Annotated[
        str | None, typer.Option("--external-id", metavar="ACCOUNT", help="The account outside. Default: as it is.")
    ] = None,
    position: Annotated[
        int | None, typer.Option("--position", min=0, help="Of a group's: the lowest that fits a caller counts. Default: as it is.")
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            "--credentials",
            metavar="FILE",
            readable=False,
            help='All its credentials, as JSON {"field": "text", ...}; `-`: standard input. Default: as they are.',
        ),
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for each field at the terminal, without an echo.")] = False,
    if_version: IfVersion = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create a mapping, or change one. With its first credentials it is enabled."""
    client = session_of(context).client
    if ask and credentials is not None:
        raise UsageRefused("--ask and --credentials are two ways to say the same", next_step="give one of them")
    body: dict[str, object] = {}
    if external_id is not None:
        body["external_id"] = external_id
    if position is not None:
        body["position"] = position
    if if_version is not None:
        body["if_version"] = if_version
    if principal == OWN and (position is not None or if_version is not None):
        raise UsageRefused("your own mapping has no --position and no --if-version to give")
    if principal != OWN:
        body = _as_it_is(client, application, principal) | body
    if credentials is not None:
        body["credentials"] = _texts(read_object(credentials, "the credentials"))
    elif ask:
        body["credentials"] = _asked(client, application)
    _put(context, application, principal, body, dry_run=dry_run, as_json=as_json)


@app.command()
def enable(
    context: typer.Context, application: Owner, principal: Principal, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Undo `disable`: by its user for `own`, by an administrator for any other."""
    _set_enabled(context, application, principal, enabled=True, dry_run=dry_run, as_json=as_json)


@app.command()
def disable(
    context: typer.Context, application: Owner, principal: Principal, dry_run: DryRun = False, as_json: AsJson = False
) -> None:
    """Nobody is given its credentials any more, on any server. They are kept."""
    _set_enabled(context, application, principal, enabled=False, dry_run=dry_run, as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    *,
    application: Owner,
    principal: Principal,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a mapping: its credentials are lost."""
    client = session_of(context).client
    path = _path(application, principal)
    if dry_run:
        answer = client.compute(path + "?dry_run=true", None, MappingDeleted, method="DELETE")
    else:
        confirm(f"delete mapping {application}/{principal}: its credentials are lost", yes=yes)
        answer = client.act("DELETE", path, None, MappingDeleted, _act(application, principal, "deleted"))
    if as_json:
        show_document(answer.raw)
    else:
        say(f"{application}/{principal}, version {answer.document.version}, {'would be' if dry_run else 'is'} deleted")


app.command("load")(load)


def _path(application: str, principal: str) -> str:
    if principal == OWN:
        return path_of("applications", application, "mapping")
    return path_of("applications", application, "mappings", principal)


def _query(application: str, after: str, limit: int, external_id: str | None) -> str:
    from urllib.parse import urlencode

    query: dict[str, str | int] = {"after": after, "limit": limit}
    if external_id is not None:
        query["external_id"] = external_id
    return f"{path_of('applications', application, 'mappings')}?{urlencode(query)}"


def _act(application: str, principal: str, done: str) -> Act:
    return Act(f"mapping {application}/{principal} was {done}", f"ssoctl mapping show {application} {principal}")


def _as_it_is(client: Client, application: str, principal: str) -> dict[str, object]:
    """What a change starts from, and the version that it is a change of; nothing of one that is not there yet."""
    try:
        mapping = client.read(_path(application, principal), Mapping).document
    except ProblemAnswer as problem:
        if problem.name != "mapping-not-found":
            raise
        return {"if_version": 0}
    return {"external_id": mapping.external_id, "position": mapping.position, "if_version": mapping.version}


def _set_enabled(context: typer.Context, application: str, principal: str, *, enabled: bool, dry_run: bool, as_json: bool) -> None:
    if principal == OWN:
        body: dict[str, object] = {"enabled": enabled}
    else:
        client = session_of(context).client
        mapping = client.read(_path(application, principal), Mapping).document
        body = {
            "external_id": mapping.external_id,
            "position": mapping.position,
            "disabled_by_administrator": not enabled,
            "if_version": mapping.version,
        }
    _put(context, application, principal, body, dry_run=dry_run, as_json=as_json)


def _put(
    context: typer.Context, application: str, principal: str, body: dict[str, object], *, dry_run: bool, as_json: bool
) -> None:
    if principal != OWN and "external_id" not in body:
        raise UsageRefused(f"{application} has no mapping of {principal} yet", next_step="say whose it is outside: --external-id")
    client = session_of(context).client
    path = _path(application, principal)
    if dry_run:
        answer = client.compute(path + "?dry_run=true", body, MappingWritten, method="PUT")
    else:
        answer = client.act("PUT", path, body, MappingWritten, _act(application, principal, "written"))
    if as_json:
        show_document(answer.raw)
    else:
        _show_written(application, answer.document, dry_run=dry_run)


def _show_written(application: str, written: MappingWritten, *, dry_run: bool) -> None:
    changes = written.changes
    lines = [
        f"  {verb}: {', '.join(names)}"
        for verb, names in (
            ("credentials added", changes.added),
            ("credentials changed", changes.changed),
            ("credentials removed", changes.removed),
            ("changed", changes.mapping),
        )
        if names
    ]
    name = f"{application}/{written.principal}, version {written.version}"
    if not lines:
        say(f"{name}: nothing to change")
        return
    say(f"{name}{' (only tried)' if dry_run else ''}: {'enabled' if written.enabled else 'disabled'}")
    for line in lines:
        say(line)


def _texts(document: dict[str, object]) -> dict[str, str]:
    texts = {field: value for field, value in document.items() if isinstance(value, str)}
    others = sorted(document.keys() - texts.keys())
    if others:
        raise UsageRefused(
            f"these credentials are not text, and nothing was changed: {', '.join(others)}",
            next_step='put numbers and the rest in quotes: {"pin": "0815"}',
        )
    return texts


def _asked(client: Client, application: str) -> dict[str, str]:
    if not somebody_is_there():
        raise UsageRefused("standard input is not a terminal, so nobody can be asked", next_step="give --credentials FILE")
    fields = client.read(path_of("applications", application), Application).document.fields
    try:
        answers = {field.name: getpass(f"{field.label or field.name} (nothing: not set): ") for field in fields}
    except EOFError:
        raise UsageRefused("the terminal was closed before an answer came; nothing was done") from None
    return {name: value for name, value in answers.items() if value}
