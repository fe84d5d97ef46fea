"""A copy of the SSO database without an ssod: taken, proved to open with a backup, and made the database of other servers."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer

from ssod.cli.check import DEFAULT_CONFIGURATION, load
from ssod.cli.documents import Document
from ssod.cli.errors import CliError, Refused, UsageRefused
from ssod.cli.files import publish, read_input, refuse_bad_target, sync, temporary_name
from ssod.cli.journal import Act
from ssod.cli.json_input import read_object
from ssod.cli.output import say, show, show_document
from ssod.cli.protection import IdentityFile, PassphraseFile, ShareFiles, key_to_open
from ssod.cli.session import AsJson, session_of
from ssod.cli.tables import table

SQLITE = "sqlite:///"

Backup = Annotated[Path, typer.Argument(metavar="BACKUP", readable=False, help="The backup of the master secret.")]
CopyUrl = Annotated[
    str,
    typer.Option(
        "--database", metavar="URL", help="The restored copy: sqlite:////FILE, or postgresql+psycopg://USER@/NAME?host=..."
    ),
]


class _Application(Document, frozen=True):
    name: str
    values: int
    opened: int


class _Proof(Document, frozen=True):
    environment_id: str
    schema_revision: str
    current_key_id: str
    canaries: int
    values: int
    opened: int
    applications: list[_Application]


class _Taken(Document, frozen=True):
    epoch: int
    removed_servers: list[str]
    moved_mappings: int


class _Refusal(Document, frozen=True):
    detail: str
    conditions: list[str]
    next_step: str | None = None


class _Answer(Document, frozen=True):
    proof: msgspec.Raw = msgspec.Raw()
    taken: msgspec.Raw = msgspec.Raw()
    refusal: _Refusal | None = None


def prove(
    *,
    backup: Backup,
    database: CopyUrl,
    passphrase_file: PassphraseFile = None,
    identity_file: IdentityFile = None,
    share_files: ShareFiles = None,
    sample: Annotated[
        int, typer.Option("--sample", min=1, metavar="N", help="Values to open of each application and kind, under each key.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Prove that a backup opens a restored copy of the SSO database: counts, and never a value. Needs no ssod."""
    answer = _process("prove", backup, database, key_to_open(passphrase_file, identity_file, share_files), sample=sample)
    raw = bytes(answer.proof)
    if as_json:
        show_document(raw)
        return
    proof = msgspec.json.decode(raw, type=_Proof)
    say(f"{backup} opens the database of environment {proof.environment_id}: current key id {proof.current_key_id}")
    say(f"  {proof.canaries} canaries and {proof.opened} of {proof.values} values were opened; schema {proof.schema_revision}")
    show(
        table(["application", "values", "opened"], [(each.name, str(each.values), str(each.opened)) for each in proof.applications])
    )


def recover(
    context: typer.Context,
    *,
    backup: Backup,
    database: CopyUrl,
    passphrase_file: PassphraseFile = None,
    identity_file: IdentityFile = None,
    share_files: ShareFiles = None,
    principals: Annotated[
        Path | None,
        typer.Option(
            "--principals", metavar="FILE", readable=False, help='JSON: {"group:OLD": "group:NEW", ...}; `-`: standard input.'
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a restored copy the database of other servers: no master, none of the old servers, an epoch above all. Needs no ssod."""
    renamed = {} if principals is None else _names(principals)
    key = key_to_open(passphrase_file, identity_file, share_files)
    with session_of(context).journal.step(Act("the copy was changed", "ssoctl secret prove")):
        answer = _process("take over", backup, database, key, renamed=renamed)
    raw = bytes(answer.taken)
    if as_json:
        show_document(raw)
        return
    taken = msgspec.json.decode(raw, type=_Taken)
    say(f"the copy is one that other servers can begin with: epoch {taken.epoch}, no master, no server")
    say(f"  removed: {', '.join(taken.removed_servers) or 'no server'}; mappings with another name: {taken.moved_mappings}")


def dump(
    *,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", readable=False, help="Where the copy goes (0600).")],
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", readable=False, help="Where the database's URL stands.")
    ] = DEFAULT_CONFIGURATION,
) -> None:
    """Copy an SQLite database as it is at one moment, while it is used. A PostgreSQL one is dumped with its own pg_dump."""
    import sqlite3

    url = load(config).database.url
    if not url.startswith(SQLITE):
        raise UsageRefused("the SSO database is a PostgreSQL", next_step="pg_dump --format=custom on its host makes a dump of it")
    refuse_bad_target(output)
    new = temporary_name(output)
    try:
        new.touch(mode=0o600, exist_ok=False)
        source, target = sqlite3.connect(f"file:{url.removeprefix(SQLITE)}?mode=ro", uri=True), sqlite3.connect(new)
        try:
            source.backup(target)
            # In one file, whatever mode the original is in: the copy is carried away without its journal.
            target.execute("PRAGMA journal_mode=DELETE")
        finally:
            target.close()
            source.close()
        sync(new)
        publish(new, output)
    except sqlite3.Error as error:
        raise CliError(
            f"the SSO database cannot be copied: {error}", next_step="run this as the user of ssod, on its host"
        ) from None
    except OSError as error:
        raise UsageRefused(f"cannot write {output}: {error.strerror}", next_step="look at the disk") from None
    finally:
        new.unlink(missing_ok=True)
    say(f"{output} is a copy of the SSO database")


def copy_url(url: str) -> str:
    """The URL of a restored copy. It is in the arguments of a command, where everybody can read it."""
    try:
        password, scheme = urlsplit(url).password, urlsplit(url).scheme
    except ValueError:
        password, scheme = None, ""
    if password is not None or "password=" in url:
        raise UsageRefused(
            "the URL holds a password, which was readable in the arguments of this command: change that password",
            next_step="restore the copy where this user is let in without one, such as at a unix socket",
        )
    if scheme not in ("sqlite", "postgresql+psycopg"):
        raise UsageRefused(
            "--database is no URL of a database", next_step=f"write {SQLITE}/FILE or postgresql+psycopg://USER@/NAME?host=..."
        )
    if scheme == "sqlite" and not Path(url.removeprefix(SQLITE)).is_file():
        raise UsageRefused(f"there is no file {url.removeprefix(SQLITE)}", next_step="restore the copy first")
    return url


def _names(file: Path) -> dict[str, str]:
    named = read_object(file, "the new names")
    renamed = {before: after for before, after in named.items() if isinstance(after, str)}
    if len(renamed) != len(named):
        raise UsageRefused(f"{file} gives a principal no name", next_step='write {"group:OLD": "group:NEW", ...}')
    return renamed


def _process(
    act: str, backup: Path, database: str, key: Mapping[str, object], *, sample: int = 0, renamed: dict[str, str] | None = None
) -> _Answer:
    """Opened by a process of its own, which ends with the keyring."""
    content = base64.b64encode(read_input(backup, "the backup")).decode()
    request = {"act": act, "url": copy_url(database), "backup": content, "opener": key, "sample": sample, "renamed": renamed or {}}
    done = subprocess.run(
        [sys.executable, "-I", "-m", "ssod.recovery_process"],
        input=msgspec.json.encode(request),
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode != 0:
        raise CliError(f"the process that opens the backup ended with status {done.returncode}", next_step="its words are above")
    answer = msgspec.json.decode(done.stdout, type=_Answer)
    if answer.refusal is not None:
        refusal = answer.refusal
        raise Refused(refusal.detail, conditions=refusal.conditions, next_step=refusal.next_step or "")
    return answer
