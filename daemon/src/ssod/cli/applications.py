"""`ssoctl application`: the applications, who may use them, and which fields their configurations have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.asking import confirm
from ssod.cli.client import path_of
from ssod.cli.documents import Application, Applications, Nothing
from ssod.cli.errors import UsageRefused
from ssod.cli.journal import Act
from ssod.cli.json_input import read_object
from ssod.cli.output import say, show, show_document
from ssod.cli.session import AsJson, IfVersion, Yes, session_of
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
    name: Name,
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", readable=False, help="JSON, as `application show --json` prints it; `-`: standard input."),
    ],
    if_version: IfVersion = None,
    as_json: AsJson = False,
) -> None:
    """Create or replace an application. A `version` in the JSON makes it conditional, like --if-version."""
    body = _body_of(read_object(file, "the application"), name)
    if if_version is not None:
        body["if_version"] = if_version
    answer = session_of(context).client.act(
        "PUT",
        path_of("applications", name),
        body,
        Application,
        Act(f"application {name} was written", f"ssoctl application show {name}"),
    )
    if as_json:
        show_document(answer.raw)
    else:
        say(f"application {answer.document.name}: version {answer.document.version}")


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


@app.command()
def delete(
    context: typer.Context,
    name: Name,
    with_config: Annotated[
        bool, typer.Option("--with-config", help="And every configuration it has: those values are lost.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete an application; one that has configuration only with --with-config."""
    confirm(f"delete application {name}" + (" and every configuration it has" if with_config else ""), yes=yes)
    answer = session_of(context).client.act(
        "DELETE",
        path_of("applications", name) + ("?with_config=true" if with_config else ""),
        None,
        Nothing,
        Act(f"application {name} was deleted", f"ssoctl application show {name}"),
    )
    if as_json:
        show_document(answer.raw)
    else:
        say(f"application {name} is deleted")
