"""What one run of `ssoctl` carries from its global options to its commands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.client import Client
from ssod.cli.journal import Journal

# Every path of ours has readable=False: typer would look at it first and refuse with a code and words of its own.
DEFAULT_SOCKET = Path("/run/ssod/ssod.sock")

AsJson = Annotated[bool, typer.Option("--json", help="Print ssod's own document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where nobody can be asked.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; change nothing.")]
IfVersion = Annotated[
    int | None,
    typer.Option("--if-version", min=0, help="Only if this is the version now; 0: only if there is none yet."),
]


@dataclass(frozen=True)
class Session:
    """Where ssod listens, and the journal of what this run did."""

    socket: Path
    journal: Journal

    @property
    def client(self) -> Client:
        return Client(self.socket, self.journal)


def session_of(context: typer.Context) -> Session:
    """The session that the wiring in main.py put into the context."""
    session: Session = context.obj
    return session
