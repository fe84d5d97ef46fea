"""`ssoctl export` and `ssoctl import`: the whole store as a file, with ciphertexts in place of values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import typer

from ssod.cli.client import Client, path_of
from ssod.cli.documents import Counts, Imported
from ssod.cli.errors import ProblemAnswer
from ssod.cli.files import prepared, publish, refuse_bad_target
from ssod.cli.journal import Act
from ssod.cli.output import say
from ssod.cli.session import AsJson, DryRun, session_of
from ssod.cli.store_file import Page, Part, lines, parts, read


def export(
    context: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", readable=False, help="Where it goes (0600); else to standard output."),
    ] = None,
) -> None:
    """The whole store as YAML: applications, roles, and every configuration and mapping with ciphertexts in place of values."""
    pages = _pages(session_of(context).client)
    if output is None:
        sys.stdout.writelines(lines(pages))
        return
    refuse_bad_target(output)
    with prepared(output, "".join(lines(pages)).encode()) as new:
        publish(new, output)
    say(f"the store is exported to {output}")


def _pages(client: Client) -> Iterator[Page]:
    query = ""
    while True:
        page: Page = client.read(path_of("export") + query, dict).document
        after = page["next"]
        yield page
        if after is None:
            return
        query = "?" + urlencode({"after": after})


def take(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="As `export` wrote it; `-`: standard input.")],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Add what a store was exported as. What is there already is left alone if it is the same, and else the import is refused."""
    document = read(file)
    client = session_of(context).client
    created, unchanged = (dict.fromkeys(Counts.__struct_fields__, 0) for _ in range(2))
    for part in parts(document, alone=dry_run):
        try:
            answer = _taken(client, part, dry_run=dry_run)
        except ProblemAnswer as problem:
            done = sum(created.values())
            if done and not dry_run:
                problem.what += f" (imported before that: {done} entries; they stay, and the same command goes on from there)"
            raise
        for name in part.sections:
            created[name] += getattr(answer.created, name)
            unchanged[name] += getattr(answer.unchanged, name)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode({"created": created, "unchanged": unchanged}), indent=2).decode())
        return
    for name, count in created.items():
        if count or unchanged[name]:
            verb = "would be added" if dry_run else "added"
            say(f"{name.replace('_', ' ')}: {count} {verb}, {unchanged[name]} there already")
    if not any((*created.values(), *unchanged.values())):
        say("there is nothing in it")


def _taken(client: Client, part: Part, *, dry_run: bool) -> Imported:
    path = path_of("import")
    if dry_run:
        return client.compute(path + "?dry_run=true", part.body, Imported).document
    act = Act(f"{' and '.join(part.sections) or 'a part'} of the store were imported", "ssoctl export")
    return client.act("POST", path, part.body, Imported, act).document
