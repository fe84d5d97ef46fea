"""`ssoctl audit`: finds out whether an audit log is as ssod wrote it, and shows what is in it. It reads the files themselves."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ssod.audit_files import files_of, in_order, lines_of
from ssod.cli.check import DEFAULT_CONFIGURATION, load
from ssod.cli.client import Client, path_of
from ssod.cli.documents import AuditHead, Status
from ssod.cli.errors import CliError, NotAllowed, UsageRefused
from ssod.cli.output import say, warn
from ssod.cli.session import session_of
from ssod.core.audit import AuditLine, Checker, Head, read_line
from ssod.errors import UNREADABLE

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, and whether it is as ssod wrote it.")

# More than these are counted only: a file that was exchanged as a whole is wrong in every line.
MOST_FINDINGS = 100
# Where ssod keeps, in its state directory, how far its log goes.
ANCHOR_FILE = "audit.anchor"

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE...]", readable=False, help="Files of one log, also compressed ones. Default: this host's log."),
]
Configuration = Annotated[
    Path, typer.Option("--config", metavar="FILE", readable=False, help="Where this host's log is named, if no FILE is.")
]

_AGO = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.command()
def verify(
    context: typer.Context,
    files: Files = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="NAME", help="Whose log the FILEs are: the database knows where it ended.")
    ] = None,
    anchor: Annotated[
        list[str] | None, typer.Option("--anchor", metavar="NUMBER:CHAIN", help="A line of the log that was noted elsewhere.")
    ] = None,
    config: Configuration = DEFAULT_CONFIGURATION,
) -> None:
    """Find every line that was changed, taken out, moved or put in, and an end that was cut off. Exit code 0 or 1."""
    client = session_of(context).client
    anchors = {f"--anchor {text}": _anchor(text) for text in anchor or ()}
    # Asked before the files are read: what comes in meanwhile is not missed.
    if files:
        anchors |= _known_to_database(client, server) if server else {}
    else:
        anchors |= _known_here(client, config)
    checker, found = Checker(anchors), 0
    findings: list[str] = []
    ordered = _files(files, config)
    for place, raw in _lines(ordered):
        if not raw.endswith(b"\n") and place.startswith(f"{ordered[-1]}:"):
            warn(f"{place}: the beginning of a line, as a crash leaves it; ssod takes it back when it starts")
            continue
        wrong = checker.read(place, raw.removesuffix(b"\n"))
        found += len(wrong)
        findings += wrong[: MOST_FINDINGS - len(findings)]
    missing = checker.end()
    if found or missing:
        more = [f"and {found - len(findings)} more"] if found > len(findings) else []
        raise CliError(
            "the audit log is not as ssod wrote it",
            conditions=[*findings, *more, *missing],
            next_step="keep these files as they are; the journal and copies elsewhere may have the lines (HOLDFAST_SEQUENCE=...)",
        )
    if not anchors:
        warn("whether lines are missing at the end cannot be known without an anchor: name one with --server or --anchor")
    said = f"{checker.lines} lines in {len(ordered)} file{'s' if len(ordered) != 1 else ''} are as ssod wrote them"
    say(f"{said}: {checker.first or 0} to {checker.head.sequence}")
    for name, head in anchors.items():
        say(f"{name} knows of line {head.sequence}")


@app.command()
def show(
    files: Files = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Such as 2026-11-23, 2026-11-23T10:00 (UTC), 90m, 12h or 7d.")
    ] = None,
    caller: Annotated[str, typer.Option("--caller", metavar="PATTERN", help="Such as user:alice or 'certificate:*'.")] = "*",
    act: Annotated[str, typer.Option("--act", metavar="PATTERN", help="Such as decrypt or 'change *'.")] = "*",
    subject: Annotated[str, typer.Option("--subject", metavar="PATTERN", help="Such as 'billing/*'.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are in the file.")] = False,
    config: Configuration = DEFAULT_CONFIGURATION,
) -> None:
    """Show who did what, oldest first."""
    earliest = _moment(since, datetime.now(UTC)).timestamp() * 1e9 if since else 0
    for place, raw in _lines(_files(files, config)):
        entry = read_line(raw.removesuffix(b"\n"))
        if entry is None:
            warn(f"{place}: this is no line of ssod's")
            continue
        line = entry.line
        wanted = ((line.caller, caller), (line.act, act), (line.subject, subject))
        if line.time < earliest or not all(fnmatchcase(text, pattern) for text, pattern in wanted):
            continue
        say(raw.decode().rstrip("\n") if as_json else _told(line))


def _told(line: AuditLine) -> str:
    moment = datetime.fromtimestamp(line.time // 1_000_000 / 1000, UTC)
    cells = (line.caller, line.act, line.subject or "-", line.outcome, line.key_id[:8] or "-", line.tracking_id or "-")
    # A line end in somebody else's name must not make a line of its own.
    return "  ".join((f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z", *cells)).replace("\n", "\\n")


def _files(files: Sequence[Path] | None, config: Path) -> list[Path]:
    try:
        found = in_order(list(files)) if files else files_of(Path(load(config).audit.file))
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(error) from None
    if not found:
        raise UsageRefused(f"there is no audit log at {load(config).audit.file}", next_step="name its files, or --config")
    return found


def _lines(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            for number, raw in enumerate(lines_of(path), 1):
                yield f"{path}:{number}", raw
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(error, path) from None


def _unreadable(error: Exception, path: Path | None = None) -> CliError:
    where = path or getattr(error, "filename", None) or "the audit log"
    if isinstance(error, PermissionError):
        return NotAllowed(f"your user may not read {where}", next_step="run this as root, or as the user of ssod")
    return UsageRefused(f"cannot read {where}: {getattr(error, 'strerror', None) or error}")


def _anchor(text: str) -> Head:
    sequence, _, chain = text.partition(":")
    try:
        return msgspec.convert((int(sequence), chain), Head)
    except (ValueError, msgspec.ValidationError):
        raise UsageRefused(f"{text!r} is no anchor", next_step="write NUMBER:CHAIN, the chain with its 64 digits") from None


def _known_here(client: Client, config: Path) -> dict[str, Head]:
    """What ssod itself, the database and the file beside ssod's state know of where this host's log ends."""
    anchors = {}
    here = load(config)
    try:
        head = client.read(path_of("audit", "head"), AuditHead).document
        anchors["ssod"] = Head(head.sequence, head.head)
    except CliError as error:
        warn(f"ssod was not asked where its log ends: {error.what}")
    anchors |= _known_to_database(client, here.server.name)
    try:
        path = Path(here.server.state_directory) / ANCHOR_FILE
        anchors[str(path)] = msgspec.json.decode(path.read_bytes(), type=Head)
    except (OSError, *UNREADABLE) as error:
        warn(f"the anchor {path} was not compared: {getattr(error, 'strerror', None) or error}")
    return anchors


def _known_to_database(client: Client, name: str) -> dict[str, Head]:
    try:
        servers = client.read(path_of("status"), Status).document.servers
    except CliError as error:
        warn(f"the SSO database was not asked where the log ends: {error.what}")
        return {}
    if servers is None:
        warn("the SSO database was not asked where the log ends: it cannot be reached")
        return {}
    for server in servers:
        if server.name == name and server.audit_sequence is not None and server.audit_head is not None:
            return {f"the SSO database ({name})": Head(server.audit_sequence, server.audit_head)}
    warn(f"the SSO database does not know where the log of {name} ends")
    return {}


def _moment(text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):  # also before the year 1
        raise UsageRefused(f"{text!r} is no time", next_step="write 2026-11-23, 2026-11-23T10:00, or 12h") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
