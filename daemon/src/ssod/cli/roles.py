"""`ssoctl role`: who has the environment-wide roles."""

from __future__ import annotations

from typing import Annotated

import typer

from ssod.cli.client import Client, path_of
from ssod.cli.documents import Role, Roles, RoleWritten
from ssod.cli.errors import UsageRefused
from ssod.cli.journal import Act
from ssod.cli.output import say, show, show_document
from ssod.cli.session import AsJson, DryRun, session_of
from ssod.cli.tables import roles_table

app = typer.Typer(no_args_is_help=True, help="The environment-wide roles: who administers, and who audits.")

LOOK = "ssoctl role list"
Name = Annotated[
    str, typer.Argument(metavar="ROLE", help="sso_administrator, sso_affiliate_administrator or sso_auditor, as `list` has them.")
]
Principals = Annotated[
    list[str], typer.Argument(metavar="PRINCIPAL...", help="Each group:UNIX-GROUP, user:UNIX-USER or certificate:NAME.")
]


@app.command("list")
def list_roles(context: typer.Context, as_json: AsJson = False) -> None:
    """Every role with its members: on every server, and by the file of this one."""
    answer = session_of(context).client.read(path_of("roles"), Roles)
    if as_json:
        show_document(answer.raw)
    else:
        show(roles_table(answer.document.roles))


@app.command("set")
def set_members(
    context: typer.Context,
    *,
    role: Name,
    principals: Annotated[list[str] | None, typer.Argument(metavar="[PRINCIPAL...]", help="The whole list; none: nobody.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Replace the members of a role by these."""
    _put(session_of(context).client, role, principals or [], dry_run=dry_run, as_json=as_json)


@app.command()
def add(context: typer.Context, *, role: Name, principals: Principals, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Add members to a role."""
    client = session_of(context).client
    _put(client, role, sorted({*_find(client, role).members, *principals}), dry_run=dry_run, as_json=as_json)


@app.command()
def remove(context: typer.Context, *, role: Name, principals: Principals, dry_run: DryRun = False, as_json: AsJson = False) -> None:
    """Remove members from a role. What a server's file says is changed in that file."""
    client = session_of(context).client
    found = _find(client, role)
    absent = sorted(set(principals) - set(found.members))
    if absent:
        raise UsageRefused(
            f"not among the members of {role}, and nothing was changed: {', '.join(absent)}",
            conditions=[f"{each} has the role by the file of this server" for each in absent if each in found.configured],
            next_step=f"see {LOOK}",
        )
    _put(client, role, sorted(set(found.members) - set(principals)), dry_run=dry_run, as_json=as_json)


def _find(client: Client, role: str) -> Role:
    roles = client.read(path_of("roles"), Roles).document.roles
    for found in roles:
        if found.role == role:
            return found
    raise UsageRefused(f"there is no role {role}", next_step=f"name one of {', '.join(each.role for each in roles)}")


def _put(client: Client, role: str, members: list[str], *, dry_run: bool, as_json: bool) -> None:
    path, body = path_of("roles", role), {"members": members}
    if dry_run:
        answer = client.compute(path + "?dry_run=true", body, RoleWritten, method="PUT")
    else:
        answer = client.act("PUT", path, body, RoleWritten, Act(f"the members of {role} were changed", LOOK))
    if as_json:
        show_document(answer.raw)
        return
    changes = answer.document.changes
    if not changes.added and not changes.removed:
        say(f"{role}: nothing to change")
        return
    say(f"{role} {'would be' if dry_run else 'is'} changed")
    for verb, principals in (("added", changes.added), ("removed", changes.removed)):
        if principals:
            say(f"  {verb}: {', '.join(principals)}")
