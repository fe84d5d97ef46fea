"""Makes a backup file that counts: an older good one stays until the new one was read back and opened."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import msgspec

from ssod.cli.client import Answer, Client, path_of
from ssod.cli.documents import Master
from ssod.cli.errors import CliError, Refused, Unreachable, UsageRefused
from ssod.cli.files import prepared, publish, read_back
from ssod.cli.journal import Act
from ssod.cli.protection import Protection
from ssod.cli.secret_documents import About, Backup, BackupVerified
from ssod.cli.session import Session

LOOK = "ssoctl secret show"


def make(session: Session, output: Path, protection: Protection) -> Answer[BackupVerified]:
    """Writes `output` and `output`.about.json (0600 both), verifies, and records.

    The order is the point. The new file is opened by ssod while it still has another name, so a failure leaves an older
    file as it was; it is recorded only under its final name, so the record never names a file that is not there.
    """
    client = session.client
    place = f"{_recording_server(client)}:{output}"
    made = client.compute(path_of("secret", "backup"), protection.making, Backup).document
    data = _bytes_of(made)
    about = msgspec.json.format(bytes(made.about), indent=2) + b"\n"
    about_file = output.with_name(output.name + ".about.json")
    with prepared(output, data) as new, prepared(about_file, about) as new_about:
        _verify(client, read_back(new), protection, place, record=None)
        written = Act(f"{output} was replaced by the new backup, which ssod had opened", LOOK)
        with session.journal.step(written):
            publish(new, output)
            publish(new_about, about_file)
    recorded = Act(f"{place} was recorded as the verified backup", LOOK)
    try:
        return _verify(client, _read_published(output), protection, place, record=recorded)
    except CliError as error:
        error.what = f"{output} is the new backup, which ssod could open; recording it failed: {error.what}"
        error.next_step = error.next_step or "run this again"
        raise


def _recording_server(client: Client) -> str:
    """This server's name. Only the active master records backups: elsewhere, better found out before a file is replaced."""
    master = client.read(path_of("master"), Master).document
    if master.mastership != "active":
        raise Refused(
            f"{master.this_server} is not the active master, so no backup made here can be recorded; nothing was done",
            conditions=[master.sentence],
            next_step=f"run this on {master.master}" if master.master else "activate a master first",
        )
    return master.this_server


def description_of(file: Path) -> list[str]:
    """What FILE.about.json says, for the person who must find the passphrase. Nothing depends on it."""
    try:
        about = msgspec.json.decode(file.with_name(file.name + ".about.json").read_bytes(), type=About)
    except (OSError, ValueError):
        return []
    lines = [
        f"backup of environment {about.environment_id}, key id {about.current_key_id}",
        f"  made {about.made_at} by {about.made_by or 'somebody'}, protected by {about.protection or 'something'}",
    ]
    return [*lines, f"  reminder: {about.reminder}"] if about.reminder else lines


def _verify(client: Client, data: bytes, protection: Protection, place: str, *, record: Act | None) -> Answer[BackupVerified]:
    body: dict[str, object] = {
        "backup": base64.b64encode(data).decode(),
        "place": place,
        "record": record is not None,
        **protection.opening,
    }
    path = path_of("secret", "backup", "verify")
    if record is None:
        return client.compute(path, body, BackupVerified)
    return client.act("POST", path, body, BackupVerified, record)


def _bytes_of(made: Backup) -> bytes:
    try:
        return base64.b64decode(made.backup, validate=True)
    except binascii.Error:
        raise Unreachable("ssod's answer holds no base64", next_step="see that ssoctl and ssod are of one version") from None


def _read_published(output: Path) -> bytes:
    try:
        return read_back(output)
    except OSError as error:
        raise UsageRefused(f"cannot read {output} back: {error.strerror}", next_step="look at the disk") from None
