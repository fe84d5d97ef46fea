"""`ssoctl backup`: what a backup is good for, and shares of what opens one. Making and restoring one is `ssoctl secret`."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli import escrow
from ssod.cli.backups import description_of
from ssod.cli.client import path_of
from ssod.cli.errors import Refused, UsageRefused
from ssod.cli.files import read_input
from ssod.cli.journal import Act
from ssod.cli.output import say, show_document
from ssod.cli.protection import IdentityFile, PassphraseFile, ShareFiles, key_to_open
from ssod.cli.secret_documents import BackupCompared
from ssod.cli.session import AsJson, session_of

app = typer.Typer(no_args_is_help=True, help="Which database a backup fits; shares of what opens one.")


@app.command()
def verify(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="The backup.")],
    passphrase_file: PassphraseFile = None,
    identity_file: IdentityFile = None,
    share_files: ShareFiles = None,
    as_json: AsJson = False,
) -> None:
    """Open a backup and say whether this database could be restored with it. Changes nothing, and keeps nothing of it."""
    data = read_input(file, "the backup")
    if not as_json:
        for line in description_of(file):
            say(line)
    body = {"backup": base64.b64encode(data).decode(), **key_to_open(passphrase_file, identity_file, share_files)}
    answer = session_of(context).client.compute(path_of("secret", "backup", "compare"), body, BackupCompared)
    found = answer.document
    if as_json:
        show_document(answer.raw)
    else:
        say(f"{file} opens: environment {found.environment_id}")
        say(f"  key ids:  {', '.join(found.key_ids)} (current: {found.current_key_id})")
    if not found.fits:
        raise Refused(
            f"{file} does not fit the database of this server",
            conditions=found.reasons,
            next_step="look for another backup: FILE.about.json says which environment and keys one is of",
        )
    if not as_json:
        counted = "it is the one that the environment counts on" if found.recorded else "the environment counts on another one"
        say(f"it fits the database of this server; {counted}")


@app.command()
def shares(
    context: typer.Context,
    *,
    threshold: Annotated[int, typer.Option("--threshold", metavar="K", help="How many shares open a backup; 2 at least.")],
    holders: Annotated[
        list[str], typer.Option("--holder", metavar="NAME=age1...", help="A holder, and the age recipient of the file for them.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", metavar="DIRECTORY", readable=False, help="Where NAME.age go, and escrow.json; must not exist."),
    ],
    as_json: AsJson = False,
) -> None:
    """Make an age identity that nobody holds, and a share of it for each holder: K of them open what is for its recipient."""
    with session_of(context).journal.step(Act(f"{output} was made, with a share for each holder", f"ls {output}")):
        made = escrow.make(output.absolute(), threshold, [_holder(text) for text in holders])
    if as_json:
        show_document(made.raw)
        return
    say(f"{output} holds {len(holders)} shares, tried: each {threshold} of them open what is encrypted for")
    say(f"  {made.recipient}")
    say(
        "next: give each holder their file, then delete it here; back up with `ssoctl secret backup --recipient` and this recipient"
    )


def _holder(text: str) -> tuple[str, str]:
    name, separator, recipient = text.partition("=")
    if not separator:
        raise UsageRefused(f"{text} is no holder", next_step="write --holder NAME=age1...")
    return name, recipient
