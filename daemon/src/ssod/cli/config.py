"""`ssoctl config`: the configurations of an application; a masked value is shown on request only, never taken from argv."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.asking import confirm
from ssod.cli.client import Client, path_of
from ssod.cli.documents import Application, Config, ConfigDeleted, Configs, ConfigWritten
from ssod.cli.errors import ProblemAnswer, UsageRefused
from ssod.cli.execute import WithProgram
from ssod.cli.journal import Act
from ssod.cli.json_input import read_object
from ssod.cli.output import say, show, show_document, warn
from ssod.cli.session import AsJson, DryRun, IfVersion, Yes, session_of
from ssod.cli.tables import config_table, configs_table
from ssod.cli.watch import watch

app = typer.Typer(no_args_is_help=True, help="The configurations of an application.")

Owner = Annotated[str, typer.Argument(metavar="APP")]
Name = Annotated[str, typer.Argument(metavar="NAME")]


@app.command("list")
def list_configs(context: typer.Context, application: Owner, as_json: AsJson = False) -> None:
    """The configurations of an application: names, versions and fields, no values."""
    answer = session_of(context).client.read(path_of("applications", application, "config"), Configs)
    if as_json:
        show_document(answer.raw)
    else:
        show(configs_table(answer.document.configs))


@app.command()
def get(
    context: typer.Context,
    application: Owner,
    name: Name,
    reveal: Annotated[bool, typer.Option("--reveal", help="Masked values too. ssod audits it as a disclosure.")] = False,
    as_json: AsJson = False,
) -> None:
    """One configuration. Masked values are named, not shown."""
    path = _path(application, name) + ("?reveal=true" if reveal else "")
    answer = session_of(context).client.read(path, Config)
    if as_json:
        show_document(answer.raw)
        return
    say(f"{application}/{name}, version {answer.document.version}")
    if answer.document.cached_at:
        warn(f"the SSO database cannot be reached; this was read at {answer.document.cached_at} and may have changed since")
    say("")
    show(config_table(answer.document))


app.command(cls=WithProgram)(watch)


@app.command()
def put(
    context: typer.Context,
    *,
    application: Owner,
    name: Name,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", readable=False, help='Every property, as JSON {"field": "text", ...}; `-`: standard input.'
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="One property; the others stay, or come from FILE. Refused for masked fields: "
            "every user of this host can read the arguments of a command.",
        ),
    ] = None,
    if_version: IfVersion = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Replace a configuration by FILE; or change some of its open fields with --set."""
    client = session_of(context).client
    changed = _assigned(assignments or [])
    if file is None and not changed:
        raise UsageRefused("nothing to put", next_step="name a FILE, `-` for standard input, or --set FIELD=VALUE")
    if changed:
        _refuse_masked(client, application, name, changed)
    if file is not None:
        properties = _texts(read_object(file, "the configuration"))
    else:
        properties, version = _current(client, application, name)
        if_version = version if if_version is None else if_version
    body: dict[str, object] = {"properties": properties | changed}
    if if_version is not None:
        body["if_version"] = if_version
    path = _path(application, name)
    if dry_run:
        answer = client.compute(path + "?dry_run=true", body, ConfigWritten, method="PUT")
    else:
        answer = client.act("PUT", path, body, ConfigWritten, _act(application, name, "written"))
    if as_json:
        show_document(answer.raw)
    else:
        _show_written(application, name, answer.document, dry_run=dry_run)


@app.command()
def delete(
    context: typer.Context,
    *,
    application: Owner,
    name: Name,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a configuration: its values are lost."""
    client = session_of(context).client
    path = _path(application, name)
    if dry_run:
        answer = client.compute(path + "?dry_run=true", None, ConfigDeleted, method="DELETE")
    else:
        confirm(f"delete configuration {application}/{name}: its values are lost", yes=yes)
        answer = client.act("DELETE", path, None, ConfigDeleted, _act(application, name, "deleted"))
    if as_json:
        show_document(answer.raw)
    else:
        say(f"{application}/{name}, version {answer.document.version}, {'would be' if dry_run else 'is'} deleted")


def _path(application: str, name: str) -> str:
    return path_of("applications", application, "config", name)


def _act(application: str, name: str, done: str) -> Act:
    return Act(f"configuration {application}/{name} was {done}", f"ssoctl config get {application} {name}")


def _assigned(assignments: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for assignment in assignments:
        field, equals, value = assignment.partition("=")
        # The text is not repeated: it may be a value that was meant for somewhere else.
        if not equals or not field:
            raise UsageRefused("a --set is not of the form FIELD=VALUE; nothing was changed")
        if field in found:
            raise UsageRefused(f"--set names {field} twice; nothing was changed")
        found[field] = value
    return found


def _refuse_masked(client: Client, application: str, name: str, changed: dict[str, str]) -> None:
    document = client.read(path_of("applications", application), Application).document
    masked = {field.name for field in document.fields if field.masked}
    refused = sorted(masked & changed.keys())
    if refused:
        raise UsageRefused(
            f"--set does not take masked fields, and nothing was changed: {', '.join(refused)}",
            conditions=[
                "the arguments of a command can be read by every user of this host and stay in the shell's history",
                "so take the value that was just given for disclosed: have it changed where it is used",
            ],
            next_step=f"give them on standard input or in a private file: ssoctl config put {application} {name} -",
        )


def _texts(document: dict[str, object]) -> dict[str, str]:
    texts = {field: value for field, value in document.items() if isinstance(value, str)}
    others = sorted(document.keys() - texts.keys())
    if others:
        raise UsageRefused(
            f"these properties are not text, and nothing was changed: {', '.join(others)}",
            next_step='put numbers and the rest in quotes: {"port": "5432"}',
        )
    return texts


def _current(client: Client, application: str, name: str) -> tuple[dict[str, str], int]:
    """What --set starts from. Masked values are fetched only where there are some to keep."""
    path = _path(application, name)
    try:
        config = client.read(path, Config).document
        if config.masked:
            config = client.read(path + "?reveal=true", Config).document
    except ProblemAnswer as problem:
        if problem.name != "config-not-found":
            raise
        return {}, 0
    return config.properties, config.version


def _show_written(application: str, name: str, written: ConfigWritten, *, dry_run: bool) -> None:
    changes = written.changes
    lines = [
        f"  {verb}: {', '.join(fields)}"
        for verb, fields in (("added", changes.added), ("changed", changes.changed), ("removed", changes.removed))
        if fields
    ]
    if not lines:
        say(f"{application}/{name}, version {written.version}: nothing to change")
        return
    say(f"{application}/{name}, version {written.version}{' (only tried)' if dry_run else ''}")
    for line in lines:
        say(line)
