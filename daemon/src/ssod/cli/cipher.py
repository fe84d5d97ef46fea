"""`ssoctl encrypt` and `ssoctl decrypt`: one value from standard input to standard output, byte for byte."""

from __future__ import annotations

import base64
import binascii
import sys
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.client import path_of
from ssod.cli.documents import Ciphertext, Plaintext
from ssod.cli.errors import Unreachable, UsageRefused
from ssod.cli.files import STANDARD_INPUT, read_input
from ssod.cli.session import session_of

Application = Annotated[str, typer.Argument(metavar="APP")]
Context = Annotated[str, typer.Argument(metavar="CONTEXT", help="Where the value lives; the same words are needed to decrypt it.")]
Source = Annotated[
    Path, typer.Option("--file", metavar="FILE", readable=False, help="Read the value from here; default: standard input.")
]


def encrypt(context: typer.Context, application: Application, place: Context, file: Source = STANDARD_INPUT) -> None:
    """Encrypt one value: every byte of standard input, the last line end included."""
    plaintext = read_input(file, "the value")
    body = {"application": application, "context": place, "plaintext": base64.b64encode(plaintext).decode()}
    print(session_of(context).client.compute(path_of("encrypt"), body, Ciphertext).document.ciphertext)


def decrypt(context: typer.Context, application: Application, place: Context, file: Source = STANDARD_INPUT) -> None:
    """Decrypt one value: its bytes, and nothing after them."""
    try:
        ciphertext = read_input(file, "the ciphertext").decode("ascii").strip()
    except UnicodeDecodeError:
        raise UsageRefused("that is no ciphertext of ssod's", next_step="it is one line of ASCII that begins with hf1.") from None
    body = {"application": application, "context": place, "ciphertext": ciphertext}
    document = session_of(context).client.compute(path_of("decrypt"), body, Plaintext).document
    try:
        plaintext = base64.b64decode(document.plaintext, validate=True)
    except binascii.Error:
        raise Unreachable("ssod's answer holds no base64", next_step="see that ssoctl and ssod are of one version") from None
    sys.stdout.buffer.write(plaintext)
    sys.stdout.buffer.flush()
