"""`ssoctl secret`: the master secret's life as its administrators see it, by key ids and never by its bytes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli import backups, recovery, rotation
from ssod.cli.asking import confirm
from ssod.cli.client import path_of
from ssod.cli.files import read_input, refuse_bad_target
from ssod.cli.journal import Act
from ssod.cli.output import say, show, show_document
from ssod.cli.protection import (
    IdentityFile,
    Output,
    PassphraseFile,
    Recipients,
    Reminder,
    ShareFiles,
    key_to_open,
    protection_of,
)
from ssod.cli.secret_documents import Restored, Secret
from ssod.cli.session import AsJson, DryRun, Yes, session_of
from ssod.cli.tables import keys_table, secret_facts

app = typer.Typer(no_args_is_help=True, help="The master secret: generate it, back it up, restore it, rotate it, show its key ids.")
app.command("rotate")(rotation.rotate)
app.command("rotation")(rotation.show_rotation)
app.command("prune")(rotation.prune)
app.command("prove")(recovery.prove)

LOOK = "ssoctl secret show"


@app.command("show")
def show_secret(context: typer.Context, as_json: AsJson = False) -> None:
    """The key ids, and the last verified backup."""
    answer = session_of(context).client.read(path_of("secret"), Secret)
    if as_json:
        show_document(answer.raw)
        return
    show(secret_facts(answer.document))
    say("")
    show(keys_table(answer.document.keys, answer.document.held_key_ids))


@app.command()
def generate(context: typer.Context, as_json: AsJson = False) -> None:
    """Generate the environment's first master secret, on the active master."""
    act = Act("the master secret was generated", LOOK)
    answer = session_of(context).client.act("POST", path_of("secret", "generate"), {}, Secret, act)
    if as_json:
        show_document(answer.raw)
        return
    say(f"the master secret is generated: key id {answer.document.current_key_id}")
    if answer.document.backup is None:
        say("next: back it up with `ssoctl secret backup`; until that is verified, nothing can be encrypted")


@app.command()
def backup(
    context: typer.Context,
    *,
    output: Output,
    passphrase_file: PassphraseFile = None,
    recipients: Recipients = None,
    reminder: Reminder = None,
    as_json: AsJson = False,
) -> None:
    """Back the master secret up, read the file back from the disk, have it verified, and record that."""
    refuse_bad_target(output)
    protection = protection_of(passphrase_file, recipients or [], reminder)
    verified = backups.make(session_of(context), output.absolute(), protection)
    if as_json:
        show_document(verified.raw)
        return
    say(f"{output} is a verified backup, and recorded as such")
    say(f"  key ids:  {', '.join(verified.document.key_ids)} (current: {verified.document.current_key_id})")
    say(f"  sha256:   {verified.document.sha256}")
    say("next: take a copy to another place, and the passphrase or identity to a third")


@app.command()
def restore(
    context: typer.Context,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="The backup.")],
    passphrase_file: PassphraseFile = None,
    identity_file: IdentityFile = None,
    share_files: ShareFiles = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Restore the master secret from a backup onto this server, which must be one that may become master."""
    data = read_input(file, "the backup")
    if not as_json:
        for line in backups.description_of(file):
            say(line)
    if not dry_run:
        confirm(f"restore the keyring of this server from {file}", yes=yes)
    key = key_to_open(passphrase_file, identity_file, share_files)
    body: dict[str, object] = {"backup": base64.b64encode(data).decode(), "dry_run": dry_run, **key}
    client = session_of(context).client
    path = path_of("secret", "restore")
    act = Act(f"the keyring was restored from {file}", LOOK)
    answer = client.compute(path, body, Restored) if dry_run else client.act("POST", path, body, Restored, act)
    if as_json:
        show_document(answer.raw)
        return
    restored = answer.document
    if restored.changed:
        say(f"the keyring {'would be' if dry_run else 'is'} restored: current key id {restored.current_key_id}")
    else:
        say(f"this server holds all of it already: current key id {restored.current_key_id}")
    say(f"  key ids:  {', '.join(restored.key_ids)}")
