"""`ssoctl master`: which server is master, and taking or leaving that role on this one."""

from __future__ import annotations

from typing import Annotated

import typer

from ssod.cli import lean
from ssod.cli.asking import confirm
from ssod.cli.client import path_of
from ssod.cli.documents import Activated, Deactivated, Master
from ssod.cli.journal import Act
from ssod.cli.output import say, show, show_document, warn
from ssod.cli.session import AsJson, DryRun, Yes, session_of
from ssod.cli.tables import master_facts, notified_table

app = typer.Typer(no_args_is_help=True, help="Which server is master; take or leave that role on this one.")

LOOK = "ssoctl master status"

Brief = Annotated[bool, typer.Option("--brief", help="One line, and sooner: for the cluster, which waits for it.")]


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Which server is master, as this one knows it."""
    answer = session_of(context).client.read(path_of("master"), Master)
    if as_json:
        show_document(answer.raw)
        return
    say(answer.document.sentence)
    say("")
    show(master_facts(answer.document))


@app.command()
def fitness(context: typer.Context, as_json: AsJson = False) -> None:
    """Whether this server could be the master now, and why not: a score for the cluster, quickly."""
    command = lean.COMMANDS["master", "fitness", "--json"] if as_json else lean.COMMANDS["master", "fitness"]
    code = lean.run(str(session_of(context).socket), command)
    if code:
        raise typer.Exit(code)


@app.command()
def activate(
    context: typer.Context,
    expected_epoch: Annotated[int | None, typer.Option("--expected-epoch", min=0, help="Only if this is the epoch now.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    brief: Brief = False,
) -> None:
    """Make this server the master. Never asks: ssod refuses it where it would be wrong, and it is what incidents need."""
    body: dict[str, object] = {"dry_run": dry_run}
    if expected_epoch is not None:
        body["expected_epoch"] = expected_epoch
    act = Act("this server was made the master", LOOK)
    client = session_of(context).client
    path = path_of("master", "activate")
    answer = client.compute(path, body, Activated) if dry_run else client.act("POST", path, body, Activated, act)
    if as_json:
        show_document(answer.raw)
        return
    activated = answer.document
    if activated.changed and dry_run:
        say(f"this server would become the master; now it is {activated.master or 'none'}, epoch {activated.epoch}")
    else:
        say(lean.taken(changed=activated.changed, master=activated.master, epoch=activated.epoch))
    if activated.servers and not brief:
        say("")
        show(notified_table(activated.servers))


@app.command()
def deactivate(
    context: typer.Context, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False, brief: Brief = False
) -> None:
    """Leave the role of master: nothing in the environment encrypts until a server is activated."""
    client = session_of(context).client
    path = path_of("master", "deactivate")
    body = {"dry_run": dry_run}
    if dry_run:
        answer = client.compute(path, body, Deactivated)
    else:
        confirm("leave the environment without a master: every server goes on decrypting and stops encrypting", yes=yes)
        answer = client.act("POST", path, body, Deactivated, Act("this server left the role of master", LOOK))
    if as_json:
        show_document(answer.raw)
        return
    if not answer.document.recorded:
        warn(lean.NOT_RECORDED)
    if answer.document.changed and dry_run:
        say(f"this server would leave the role of master, epoch {answer.document.epoch}")
    else:
        say(lean.left(changed=answer.document.changed, epoch=answer.document.epoch))
