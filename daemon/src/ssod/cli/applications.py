"""`ssoctl application`: the applications, who may use them, and which fields their configurations have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ssod.cli.asking import confirm
from ssod.cli.client import Client, path_of
from ssod.cli.documents import Application, ApplicationDeleted, Applications, ApplicationWritten
from ssod.cli.errors import UsageRefused
from ssod.cli.journal import Act
from ssod.cli.json_input import read_object
from ssod.cli.output import say, show, show_document
from ssod.cli.session import AsJson, DryRun, IfVersion, Yes, session_of
from ssod.cli.tables import application_facts, applications_table

app = typer.Typer(no_args_is_help=True, help="The applications: who may use them, and which fields they have.")

Name = Annotated[str, typer.Argument(metavar="APP")]


@app.command("list")
def list_applications(context: typer.Context, as_json: AsJson = False) -> None:
    """The applications that you may see."""
    answer = session_of(context).client.read(path_of("applications"), Applications)
    if as_json:
        show_document(answer.raw)
    else:
        show(applications_table(answer.document.applications))


@app.command("show")
def show_application(context: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """One application."""
    answer = session_of(context).client.read(path_of("applications", name), Application)
    if as_json:
        show_document(answer.raw)
    else:
        show(application_facts(answer.document))


@app.command()
def put(
    context: typer.Context,
    *,
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", readable=False, help="JSON, as `application show --json` prints it; `-`: standard input."),
    ],
    if_version: IfVersion = None,
    accept_data_loss: Annotated[
        bool, typer.Option("--accept-data-loss", help="Also if stored data is deleted by it: try it with --dry-run first.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Create or replace an application. A `version` in the JSON makes it conditional, like --if-version."""
    body = _body_of(read_object(file, "the application"), name)
    if if_version is not None:
        body["if_version"] = if_version
    if accept_data_loss:
        body["data_loss"] = "accept"
    _put(session_of(context).client, name, body, dry_run=dry_run, as_json=as_json)


def _body_of(document: dict[str, object], name: str) -> dict[str, object]:
    """What `show --json` printed can be edited and put back: the name must agree, the version must still be it."""
    body = dict(document)
    if body.pop("name", name) != name:
        raise UsageRefused(
            f"the JSON describes another application than {name}; nothing was changed",
            next_step="take its `name` out, or name that application",
        )
    if "version" in body:
        body.setdefault("if_version", body.pop("version"))
    return body


def _put(client: Client, name: str, body: dict[str, object], *, dry_run: bool, as_json: bool) -> None:
    path = path_of("applications", name)
    if dry_run:
        answer = client.compute(path + "?dry_run=true", body, ApplicationWritten, method="PUT")
    else:
        act = Act(f"application {name} was written", f"ssoctl application show {name}")
        answer = client.act("PUT", path, body, ApplicationWritten, act)
    if as_json:
        show_document(answer.raw)
        return
    application, plan = answer.document, answer.document.plan
    if not plan.changes:
        say(f"application {application.name}, version {application.version}: nothing to change")
        return
    say(f"application {application.name}, version {application.version}{' (only tried)' if dry_run else ''}")
    for line in plan.changes:
        say(f"  {line}")
    for line in plan.destroys:
        say(f"  {'LOST' if not dry_run else 'WOULD BE LOST'}: {line}")


@app.command()
def enable(context: typer.Context, *, name: Name, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Let an application be used; refused while that would be of use to nobody."""
    _change(session_of(context).client, name, {"enabled": True}, dry_run=dry_run, as_json=as_json)


@app.command()
def disable(context: typer.Context, *, name: Name, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Give nobody anything of an application, on every server; its data stays."""
    _change(session_of(context).client, name, {"enabled": False}, dry_run=dry_run, as_json=as_json)


@app.command()
def users(
    context: typer.Context,
    *,
    name: Name,
    add: Annotated[list[str] | None, typer.Option("--add", metavar="PRINCIPAL", help="May use it from now on.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="PRINCIPAL", help="May not any more.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Change who may use an application. Its own administrators may do that."""
    client = session_of(context).client
    if not add and not remove:
        raise UsageRefused("nothing to change", next_step="give --add or --remove a principal")
    found = client.read(path_of("applications", name), Application).document.users
    absent = sorted(set(remove or []) - set(found))
    if absent:
        raise UsageRefused(f"not among the users of {name}, and nothing was changed: {', '.join(absent)}")
    wanted = [*(each for each in found if each not in (remove or [])), *(each for each in add or [] if each not in found)]
    _change(client, name, {"users": wanted}, dry_run=dry_run, as_json=as_json)


def _change(client: Client, name: str, members: dict[str, object], *, dry_run: bool, as_json: bool) -> None:
    """Puts an application back as it is, but for some members, if nobody else wrote meanwhile."""
    raw = client.read(path_of("applications", name), Application).raw
    document: dict[str, object] = msgspec.json.decode(raw)
    _put(client, name, _body_of(document, name) | members, dry_run=dry_run, as_json=as_json)


@app.command()
def delete(
    context: typer.Context,
    *,
    name: Name,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="And every configuration and mapping it has: those values are lost.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete an application; one that has configurations or mappings only with --with-data."""
    client = session_of(context).client
    query = [f"{option}=true" for option, given in (("with_data", with_data), ("dry_run", dry_run)) if given]
    path = path_of("applications", name) + (f"?{'&'.join(query)}" if query else "")
    if dry_run:
        answer = client.compute(path, None, ApplicationDeleted, method="DELETE")
    else:
        confirm(f"delete application {name}" + (" and all the data it has" if with_data else ""), yes=yes)
        act = Act(f"application {name} was deleted", f"ssoctl application show {name}")
        answer = client.act("DELETE", path, None, ApplicationDeleted, act)
    if as_json:
        show_document(answer.raw)
        return
    say(f"application {name} {'would be' if dry_run else 'is'} deleted")
    for line in answer.document.destroys:
        say(f"  {line}")
