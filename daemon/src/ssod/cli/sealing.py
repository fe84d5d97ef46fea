"""`ssoctl sealing`: makes the credentials by which this host seals its copy of the keyring; none of them touches the disk open."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.errors import NotAllowed, UsageRefused
from ssod.cli.files import publish, read_line_file, refuse_bad_target, sync, temporary_name
from ssod.cli.journal import Act
from ssod.cli.output import say
from ssod.cli.session import session_of

app = typer.Typer(no_args_is_help=True, help="The key that seals this host's copy of the keyring.")

# systemd binds a credential to its name: the unit says LoadCredentialEncrypted=NAME:/etc/ssod/NAME.cred.
KEY_NAME = re.compile(r"sealing-key(-[a-z0-9+]+)*")
PIN_NAME = "sealing-pin"
KEY_BYTES = 32
PROGRAM = "systemd-creds"


class WithKey(StrEnum):
    """By what systemd-creds encrypts: this host's key, its TPM2, both, or what there is."""

    AUTO = "auto"
    HOST = "host"
    TPM2 = "tpm2"
    BOTH = "host+tpm2"


Output = Annotated[
    Path, typer.Option("--output", metavar="NAME.cred", readable=False, help="Where it goes; systemd binds it to NAME.")
]
ByWhat = Annotated[WithKey, typer.Option("--with-key", help="By what systemd-creds encrypts it.")]


@app.callback()
def sealing() -> None:
    """The key that seals this host's copy of the keyring."""


@app.command()
def create(context: typer.Context, output: Output, with_key: ByWhat = WithKey.AUTO) -> None:
    """Make a sealing key, encrypted for this host alone by systemd-creds (TPM2 where there is one). Needs root."""
    program = _program()
    name = output.stem if KEY_NAME.fullmatch(output.stem) else "sealing-key"
    refuse_bad_target(output)
    if output.exists() or output.is_symlink():
        raise _exists(output)
    temporary = temporary_name(output)
    try:
        with session_of(context).journal.step(Act(f"sealing key {output} was made", f"ls -l {output}")):
            _encrypt(program, name, with_key, secrets.token_bytes(KEY_BYTES), temporary)
            _into_place(temporary, output, _link)
    finally:
        temporary.unlink(missing_ok=True)
    say(f"sealing key {output} is made: only this host can open it")


@app.command()
def pin(
    context: typer.Context,
    output: Output,
    pin_file: Annotated[Path, typer.Option("--pin-file", metavar="FILE", help="The file with the PIN, one line; - is the input.")],
    with_key: ByWhat = WithKey.AUTO,
    check: Annotated[bool, typer.Option("--check", help="Only tell what would be done.")] = False,
) -> None:
    """Encrypt the PIN of a PKCS#11 token for this host alone, unless that was done. Needs root."""
    program = _program()
    given = read_line_file(pin_file, "the file with the PIN").encode()
    refuse_bad_target(output)
    if output.exists() and _decrypt(program, output) == given:
        say(f"{output} holds this PIN already")
        return
    if check:
        say(f"{output} would be made with this PIN")
        return
    temporary = temporary_name(output)
    try:
        with session_of(context).journal.step(Act(f"the PIN {output} was written", f"ls -l {output}")):
            _encrypt(program, PIN_NAME, with_key, given, temporary)
            _into_place(temporary, output, publish)
    finally:
        temporary.unlink(missing_ok=True)
    say(f"{output} is made with this PIN: only this host can open it")


def _program() -> str:
    if os.geteuid() != 0:
        raise NotAllowed("only root can have systemd-creds encrypt for this host", next_step="run it with sudo")
    program = shutil.which(PROGRAM)
    if program is None:
        raise UsageRefused(
            f"{PROGRAM} is not on this host; nothing was changed",
            next_step='install systemd 250 or newer; without systemd, as in a container, set [sealing] provider = "file"',
        )
    return program


def _encrypt(program: str, name: str, with_key: WithKey, content: bytes, file: Path) -> None:
    finished = subprocess.run(  # noqa: S603  a fixed program, and a path as one argument
        [program, "encrypt", f"--name={name}", f"--with-key={with_key}", "-", str(file)],
        input=content,
        capture_output=True,
        check=False,
        umask=0o077,
    )
    if finished.returncode != 0:
        # Its error output speaks of keys and devices by name; what is secret only ever went into its standard input.
        raise UsageRefused(
            f"{PROGRAM} could not encrypt with the key {with_key} (exit code {finished.returncode}); nothing was changed",
            conditions=finished.stderr.decode(errors="replace").splitlines(),
            next_step=f"see that `{PROGRAM} setup` works on this host; for a TPM2, that `{PROGRAM} has-tpm2` finds one",
        )


def _decrypt(program: str, file: Path) -> bytes | None:
    """What is in it; None when this host cannot open it, so that it is made anew."""
    finished = subprocess.run(  # noqa: S603  a fixed program, and a path as one argument
        [program, "decrypt", f"--name={PIN_NAME}", str(file), "-"], capture_output=True, check=False
    )
    return finished.stdout if finished.returncode == 0 else None


def _into_place(temporary: Path, output: Path, put: Callable[[Path, Path], None]) -> None:
    try:
        os.chmod(temporary, 0o600)
        sync(temporary)
        put(temporary, output)
    except FileExistsError:
        raise _exists(output) from None
    except OSError as error:
        raise UsageRefused(f"cannot write {output}: {error.strerror}", next_step="nothing was changed") from None


def _link(temporary: Path, output: Path) -> None:
    """Not a rename: it refuses to replace a key that appeared meanwhile, which some sealed copy may need."""
    os.link(temporary, output)
    sync(output.parent)


def _exists(output: Path) -> UsageRefused:
    return UsageRefused(
        f"{output} exists already, and nothing was changed: without it this host's sealed copy could not be opened",
        next_step="keep it; only where nothing was sealed with it, move it away first",
    )
