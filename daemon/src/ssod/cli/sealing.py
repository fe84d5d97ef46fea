"""`ssoctl sealing`: makes the key that seals this host's copy of the keyring, and never lets it touch the disk open."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.errors import NotAllowed, UsageRefused
from ssod.cli.files import refuse_bad_target, sync, temporary_name
from ssod.cli.journal import Act
from ssod.cli.output import say
from ssod.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="The key that seals this host's copy of the keyring.")

# systemd binds a credential to its name: the unit says LoadCredentialEncrypted=sealing-key:FILE.
CREDENTIAL_NAME = "sealing-key"
KEY_BYTES = 32
PROGRAM = "systemd-creds"


@app.callback()
def sealing() -> None:
    """The key that seals this host's copy of the keyring."""


@app.command()
def create(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", metavar="FILE", readable=False, help="Where the encrypted key goes; must not exist.")
    ],
) -> None:
    """Make a sealing key, encrypted for this host alone by systemd-creds (TPM2 where there is one). Needs root."""
    if os.geteuid() != 0:
        raise NotAllowed("only root can have systemd-creds encrypt for this host", next_step="run it with sudo")
    program = shutil.which(PROGRAM)
    if program is None:
        raise UsageRefused(
            f"{PROGRAM} is not on this host; nothing was changed",
            next_step='install systemd 250 or newer; without systemd, as in a container, set [sealing] provider = "file"',
        )
    refuse_bad_target(output)
    if output.exists() or output.is_symlink():
        raise _exists(output)
    temporary = temporary_name(output)
    try:
        with session_of(context).journal.step(Act(f"sealing key {output} was made", f"ls -l {output}")):
            _encrypt(program, temporary)
            _publish(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)
    say(f"sealing key {output} is made: only this host can open it")


def _encrypt(program: str, file: Path) -> None:
    finished = subprocess.run(  # noqa: S603  a fixed program, and a path as one argument
        [program, "encrypt", f"--name={CREDENTIAL_NAME}", "-", str(file)],
        input=secrets.token_bytes(KEY_BYTES),
        capture_output=True,
        check=False,
        umask=0o077,
    )
    if finished.returncode != 0:
        # Its error output speaks of keys and devices by name; the key itself only ever went into its standard input.
        raise UsageRefused(
            f"{PROGRAM} could not encrypt the sealing key (exit code {finished.returncode}); nothing was changed",
            conditions=finished.stderr.decode(errors="replace").splitlines(),
            next_step=f"see that `{PROGRAM} setup` works on this host",
        )


def _publish(temporary: Path, output: Path) -> None:
    """A link, not a rename: it refuses to replace a key that appeared meanwhile, which some sealed copy may need."""
    try:
        os.chmod(temporary, 0o600)
        sync(temporary)
        os.link(temporary, output)
        sync(output.parent)
    except FileExistsError:
        raise _exists(output) from None
    except OSError as error:
        raise UsageRefused(f"cannot write {output}: {error.strerror}", next_step="nothing was changed") from None


def _exists(output: Path) -> UsageRefused:
    return UsageRefused(
        f"{output} exists already, and nothing was changed: without it this host's sealed copy could not be opened",
        next_step="keep it; only where nothing was sealed with it, move it away first",
    )
