"""`ssoctl secret rotate`: another master secret, in steps that can each be broken off; run again, it goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from ssod.cli import backups
from ssod.cli.asking import confirm
from ssod.cli.client import path_of
from ssod.cli.errors import Refused
from ssod.cli.files import refuse_bad_target
from ssod.cli.journal import Act
from ssod.cli.output import say, show, show_document, warn
from ssod.cli.progress import progress
from ssod.cli.protection import Output, PassphraseFile, Protection, Recipients, Reminder, protection_of
from ssod.cli.secret_documents import Prepared, Pruned, Renewed, Rotation, Switched, ValuePlace
from ssod.cli.session import AsJson, DryRun, Session, Yes, session_of
from ssod.cli.tables import rotation_facts

LOOK = "ssoctl secret rotation"
BATCH = 250
# A value that somebody is writing is left out of a pass: it is under the current secret then, or is met in the next one.
PASSES = 10

Rate = Annotated[
    int,
    typer.Option("--rate", min=0, metavar="N", help="At most N values a second, so that the database keeps serving; 0: no limit."),
]


def show_rotation(context: typer.Context, as_json: AsJson = False) -> None:
    """How far a rotation is: the next secret, and how many values are under a retired one still."""
    answer = session_of(context).client.read(path_of("secret", "rotation"), Rotation)
    if as_json:
        show_document(answer.raw)
    else:
        show(rotation_facts(answer.document))


def rotate(
    context: typer.Context,
    *,
    output: Output,
    passphrase_file: PassphraseFile = None,
    recipients: Recipients = None,
    reminder: Reminder = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="SERVER", help="Leave this server behind, knowingly; can be repeated."),
    ] = None,
    rate: Rate = 12_000,
    yes: Yes = False,
) -> None:
    """Rotate the master secret: generate, back up, hand out, switch, re-encrypt. Nobody is refused meanwhile.

    Run again after an interruption, it goes on where it was.
    """
    refuse_bad_target(output)
    session = session_of(context)
    found = session.client.read(path_of("secret", "rotation"), Rotation).document
    if found.next is None and found.left:
        say(f"the rotation to {found.current_key_id} is not finished: it is gone on with. To rotate once more, run this again then")
        protection = protection_of(passphrase_file, recipients or [], reminder)
    else:
        confirm("rotate the master secret of this environment", yes=yes)
        protection = protection_of(passphrase_file, recipients or [], reminder)
        _switch(session, output, protection, without or [])
    _renew_all(session, rate)
    verified = backups.make(session, output.absolute(), protection).document
    say(f"{output} is a verified backup with {verified.current_key_id} as the current secret: take a copy to another place")
    say("the retired secret stays in the keyring, for older copies of the database; see `ssoctl secret prune`")


def _switch(session: Session, output: Output, protection: Protection, without: list[str]) -> None:
    client = session.client
    path = ("secret", "rotation")
    prepare = Act("the next master secret was generated", LOOK)
    prepared = client.act("POST", path_of(*path, "prepare"), {}, Prepared, prepare).document
    say(f"1/5 the next secret is {prepared.next_key_id}" + ("" if prepared.changed else ", generated before"))
    verified = backups.make(session, output.absolute(), protection).document
    say(f"2/5 {output} is a verified backup, with {', '.join(verified.key_ids)}")
    switch = Act(f"{prepared.next_key_id} became the current secret", LOOK)
    switched = client.act("POST", path_of(*path, "switch"), {"without": without}, Switched, switch).document
    say(f"3/5 {len(switched.servers)} servers hold it" + (f", and not: {', '.join(without)}" if without else ""))
    say(f"4/5 it is the current secret: {switched.current_key_id}")


def _renew_all(session: Session, rate: int) -> None:
    path = path_of("secret", "rotation")
    left = session.client.read(path, Rotation).document.left
    began, renewed = time.monotonic(), 0
    done = list(session.journal.done)
    damaged: list[ValuePlace] = []
    with progress(left, "values") as advance:
        for _ in range(PASSES):
            damaged = []
            for batch in _one_pass(session):
                renewed += batch.renewed
                damaged += batch.damaged
                # One line in the story of an interruption, and not one a batch.
                session.journal.done[:] = [*done, Act(f"{renewed} values were re-encrypted", LOOK)]
                advance(renewed, renewed)
                _slow_down(began, renewed, rate)
            left = session.client.read(path, Rotation).document.left
            if left <= len(damaged):
                break
    for place in damaged:
        warn(f"{place.kind} {place.application}/{place.owner}, field {place.field} does not open and was left as it was")
    if left:
        raise Refused(
            f"{left} values are under a retired secret still, which stays in the keyring",
            conditions=[f"{len(damaged)} of them do not open: they are damaged"] if damaged else [],
            next_step="write the damaged ones anew, then run this again" if damaged else "run this again",
        )
    say(f"5/5 {renewed} values were re-encrypted in {time.monotonic() - began:.1f} s; none is under a retired secret")


def _one_pass(session: Session) -> Iterator[Renewed]:
    after = None
    act = Act("a batch of values was re-encrypted", LOOK)
    while True:
        body = {"after": after, "limit": BATCH}
        batch = session.client.act("POST", path_of("secret", "rotation", "renew"), body, Renewed, act).document
        yield batch
        if batch.last is None:
            return
        after = {name: getattr(batch.last, name) for name in batch.last.__struct_fields__}


def _slow_down(began: float, renewed: int, rate: int) -> None:
    if rate:
        time.sleep(max(0.0, began + renewed / rate - time.monotonic()))  # asked for: the database is others' meanwhile


def prune(
    context: typer.Context,
    *,
    days: Annotated[int, typer.Option("--days", min=0, help="Keep those that were retired within so many days.")] = 400,
    keep: Annotated[int, typer.Option("--keep", min=0, help="Keep so many that were retired last, however old.")] = 2,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Forget retired secrets: copies of the database from before, and values that programs keep themselves, open no more.

    One that a value of the database is sealed under stays in any case. The backups that were made before still hold them.
    """
    client = session_of(context).client
    body = {"days": days, "count": keep}
    path = path_of("secret", "prune")
    would = client.compute(path, {**body, "dry_run": True}, Pruned)
    if would.document.pruned and not dry_run:
        confirm(f"forget {len(would.document.pruned)} retired secrets: {', '.join(would.document.pruned)}", yes=yes)
    act = Act("retired secrets were forgotten", "ssoctl secret show")
    answer = client.act("POST", path, body, Pruned, act) if would.document.pruned and not dry_run else would
    if as_json:
        show_document(answer.raw)
        return
    for key_id in answer.document.pruned:
        say(f"{key_id} {'would be' if dry_run else 'is'} forgotten")
    for kept in answer.document.kept:
        say(f"{kept.key_id} stays: {kept.reason}")
    if not answer.document.pruned and not answer.document.kept:
        say("there is no retired secret")
