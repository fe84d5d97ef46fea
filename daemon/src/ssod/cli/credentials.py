"""`ssoctl credentials` and `ssoctl ticket`: what is the caller's own. A ticket is as good as the credentials: never on argv."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.client import Answer, path_of
from ssod.cli.documents import Credentials, Ticket
from ssod.cli.errors import UsageRefused
from ssod.cli.files import STANDARD_INPUT, read_line_file
from ssod.cli.output import say, show, show_document, warn
from ssod.cli.session import AsJson, session_of
from ssod.cli.tables import credentials_table

credentials_app = typer.Typer(no_args_is_help=True, help="The credentials that are yours.")
ticket_app = typer.Typer(no_args_is_help=True, help="Tickets: for a program that acts for you.")

Owner = Annotated[str, typer.Argument(metavar="APP")]
OneField = Annotated[str | None, typer.Option("--field", metavar="FIELD", help="Only this value, and nothing after it.")]


@credentials_app.command()
def get(context: typer.Context, application: Owner, field: OneField = None, as_json: AsJson = False) -> None:
    """Your credentials in an application. ssod audits it as a disclosure."""
    answer = session_of(context).client.read(path_of("applications", application, "credentials"), Credentials)
    _disclose(answer, field, as_json=as_json)


@ticket_app.command()
def issue(context: typer.Context, application: Owner, as_json: AsJson = False) -> None:
    """A ticket for your credentials, which lives for minutes. Whoever holds it and may redeem it has them."""
    answer = session_of(context).client.compute(path_of("applications", application, "tickets"), {}, Ticket)
    if as_json:
        show_document(answer.raw)
    else:
        say(answer.document.ticket)


@ticket_app.command()
def redeem(
    context: typer.Context,
    *,
    application: Owner,
    sender: Annotated[
        str | None,
        typer.Option("--sender", metavar="PRINCIPAL", help="Who sent what the ticket came with; must be whom it was issued to."),
    ] = None,
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", readable=False, help="Read the ticket from here; default: standard input.")
    ] = STANDARD_INPUT,
    field: OneField = None,
    as_json: AsJson = False,
) -> None:
    """The credentials of whom a ticket was issued to, for a program that is trusted with that."""
    body = {"ticket": read_line_file(file, "the ticket"), "sender": sender}
    path = path_of("applications", application, "tickets", "redeem")
    _disclose(session_of(context).client.compute(path, body, Credentials), field, as_json=as_json)


def _disclose(answer: Answer[Credentials], field: str | None, *, as_json: bool) -> None:
    document = answer.document
    if document.cached_at:
        warn(f"the SSO database cannot be reached; this was read at {document.cached_at} and may have changed since")
    if field is not None:
        if field not in document.credentials:
            raise UsageRefused(f"{document.application}/{document.principal} has no {field}", next_step="see which there are")
        sys.stdout.write(document.credentials[field])
        sys.stdout.flush()
    elif as_json:
        show_document(answer.raw)
    else:
        say(f"{document.application}/{document.principal} is {document.external_id}")
        say("")
        show(credentials_table(document))
