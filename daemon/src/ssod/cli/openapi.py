"""`ssoctl openapi`: the API of this host's ssod, for programs that are made from its description."""

from __future__ import annotations

import msgspec
import typer

from ssod.cli.client import path_of
from ssod.cli.output import show_document
from ssod.cli.session import session_of


def openapi(context: typer.Context) -> None:
    """Print the OpenAPI 3.1 description of ssod's API, as JSON."""
    show_document(session_of(context).client.read(path_of("openapi.json"), msgspec.Raw).raw)
