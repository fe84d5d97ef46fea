"""`ssoctl sso`: disables SSO in the whole environment at once, and enables it again."""

from __future__ import annotations

import typer

from ssod.cli.asking import confirm
from ssod.cli.client import Answer, path_of
from ssod.cli.documents import Sso
from ssod.cli.journal import Act
from ssod.cli.output import say, show_document
from ssod.cli.session import AsJson, Yes, session_of

app = typer.Typer(no_args_is_help=True, help="SSO as a whole: while it is disabled, no server gives anybody a value.")

PATH = path_of("sso")
LOOK = "ssoctl sso show"


@app.command("show")
def show_sso(context: typer.Context, as_json: AsJson = False) -> None:
    """Whether SSO is enabled."""
    _tell(session_of(context).client.read(PATH, Sso), as_json=as_json)


@app.command()
def enable(context: typer.Context, as_json: AsJson = False) -> None:
    """Enable SSO, everywhere."""
    answer = session_of(context).client.act("PUT", PATH, {"enabled": True}, Sso, Act("SSO was enabled", LOOK))
    _tell(answer, as_json=as_json)


@app.command()
def disable(context: typer.Context, yes: Yes = False, as_json: AsJson = False) -> None:
    """Disable SSO, everywhere: every encryption, decryption, configuration, credential and ticket is refused."""
    confirm("disable SSO on every server: nobody is given anything until it is enabled again", yes=yes)
    answer = session_of(context).client.act("PUT", PATH, {"enabled": False}, Sso, Act("SSO was disabled", LOOK))
    _tell(answer, as_json=as_json)


def _tell(answer: Answer[Sso], *, as_json: bool) -> None:
    if as_json:
        show_document(answer.raw)
    elif answer.document.enabled:
        say("SSO is enabled")
    else:
        say(f"SSO is DISABLED everywhere since {answer.document.disabled_at}")
