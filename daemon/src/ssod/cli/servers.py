"""`ssoctl servers`: which servers are enrolled, and so are given the keyring; and whose certificates are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssod.cli.asking import confirm
from ssod.cli.certificates import read_certificate
from ssod.cli.client import path_of
from ssod.cli.documents import Nothing, Revocations, Server, ServerRemoved, Servers, Status
from ssod.cli.journal import Act
from ssod.cli.output import say, show, show_document
from ssod.cli.session import AsJson, Yes, session_of
from ssod.cli.tables import revocations_table, servers_table

app = typer.Typer(no_args_is_help=True, help="The enrolled servers: only these are given the keyring.")

LOOK = "ssoctl servers list"
Name = Annotated[str, typer.Argument(metavar="NAME", help="The first DNS name of the server's certificate.")]


@app.command("list")
def list_servers(context: typer.Context, as_json: AsJson = False) -> None:
    """Every enrolled server, and how it was last seen."""
    client = session_of(context).client
    answer = client.read(path_of("servers"), Servers)
    if as_json:
        show_document(answer.raw)
        return
    environment = client.read(path_of("status"), Status).document.environment
    show(
        servers_table(
            answer.document.servers,
            master=environment.master if environment else None,
            current_key_id=environment.current_key_id if environment else None,
        )
    )


@app.command()
def enrol(
    context: typer.Context,
    name: Name,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="HOST:PORT of its mutual-TLS face.")],
    may_become_master: Annotated[
        bool, typer.Option("--may-become-master", help="A standby: it keeps a sealed copy of the keyring on its disk.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Enrol a server, or change its address or its standing: it is given the keyring from then on."""
    answer = session_of(context).client.act(
        "PUT",
        path_of("servers", name),
        {"address": address, "may_become_master": may_become_master},
        Server,
        Act(f"server {name} was enrolled", LOOK),
    )
    if as_json:
        show_document(answer.raw)
        return
    server = answer.document
    say(f"{server.name} at {server.address} is enrolled, as {'a standby' if server.may_become_master else 'a server'}")


@app.command()
def remove(context: typer.Context, name: Name, yes: Yes = False, as_json: AsJson = False) -> None:
    """Remove a server: every server refuses its certificates, at once. What it holds in memory it keeps until it is stopped."""
    confirm(f"remove server {name}: it is given no keyring any more, and its certificates are refused everywhere", yes=yes)
    answer = session_of(context).client.act(
        "DELETE", path_of("servers", name), None, ServerRemoved, Act(f"server {name} was removed", LOOK)
    )
    if as_json:
        show_document(answer.raw)
        return
    revoked = len(answer.document.revoked)
    say(f"{name} is removed, and {revoked} certificate{'' if revoked == 1 else 's'} of it refused everywhere")
    say("left to do: stop ssod there, and take it off the SSO database's list; remove_server.yml does both")


@app.command()
def revoked(context: typer.Context, as_json: AsJson = False) -> None:
    """The certificates that this server refuses now."""
    answer = session_of(context).client.read(path_of("revocations"), Revocations)
    if as_json:
        show_document(answer.raw)
    else:
        show(revocations_table(answer.document.revocations))


@app.command()
def revoke(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The certificate, as PEM.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Have every server refuse a program's certificate, and every other one of its key. Servers are removed instead."""
    key, certificate = read_certificate(file)
    confirm(f"refuse the certificate of {certificate['name']} with the key {key} everywhere", yes=yes)
    answer = session_of(context).client.act(
        "PUT", path_of("revocations", key), certificate, Nothing, Act("the certificate was revoked", "ssoctl servers revoked")
    )
    if as_json:
        show_document(answer.raw)
    else:
        say(f"the certificate of {certificate['name']} is refused everywhere; to take that back: ssoctl servers restore {key}")


@app.command()
def restore(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `ssoctl servers revoked` shows it.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take a revocation back: certificates with this key are let in again."""
    confirm(f"let certificates with the key {key} in again", yes=yes)
    answer = session_of(context).client.act(
        "DELETE", path_of("revocations", key), None, Nothing, Act("the revocation was taken back", "ssoctl servers revoked")
    )
    if as_json:
        show_document(answer.raw)
    else:
        say("certificates with this key are let in again")
