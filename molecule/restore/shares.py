"""Escrow: backups for 2 of 3 shares, in three places; one share is refused, two restore, and a changed copy is mended."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from pathlib import Path

from story import Environment, promise


def holders_of(env: Environment) -> dict[str, str]:
    """Three people, each with a key of their own on the control node: name, and recipient."""
    found = {}
    for name in ("alice", "bob", "carol"):
        key = env.state / f"{name}.key"
        subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
        found[name] = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    return found


def open_share(env: Environment, shares: Path, name: str) -> Path:
    """What a holder does: age opens their file with their key."""
    opened = env.state / f"{name}.share"
    opened.touch(0o600)
    opened.write_bytes(
        subprocess.run(["age", "-d", "-i", env.state / f"{name}.key", shares / f"{name}.age"], check=True, capture_output=True).stdout
    )
    return opened


def tell(env: Environment, backups: Path, standby: str) -> dict[str, bytes]:
    """Returns secrets that must be nowhere: what the opened shares hold."""
    vault = env.state / "vault"
    vault.mkdir()
    places = [{"directory": str(vault)}, {"host": "db1", "directory": "/srv"}]
    wanted = {"sso_backup_shares": {"threshold": 2, "holders": holders_of(env)}, "sso_backup_copies": places}
    absent = env.playbook("holdfast.sso.backup_secret", "-e", json.dumps(wanted | {"sso_backup_copies": [{"directory": str(vault / "no")}]}))
    promise(absent.code != 0 and "has no directory" in absent.output, "a copy for a place that is not mounted is refused by its name")
    env.must("holdfast.sso.backup_secret", "-vvv", "-e", json.dumps(wanted))
    shares = next(backups.glob("shares-*"))
    made = sorted(path.name for path in shares.iterdir())
    promise(made == ["alice.age", "bob.age", "carol.age"], "each holder has a file")
    newest = max(backups.glob("*.age"), key=lambda path: path.stat().st_mtime)
    promise((vault / newest.name).read_bytes() == newest.read_bytes(), "the vault has the backup")
    promise(env.ssh("db1", f"sha256sum /srv/{newest.name}").split()[0] == hashlib.sha256(newest.read_bytes()).hexdigest(), "and so has the other host")
    again = env.must("holdfast.sso.backup_secret", "-e", json.dumps(wanted))
    promise(again.changed == 0, "backing up again changes nothing")
    (vault / newest.name).write_bytes(b"changed")
    env.must("holdfast.sso.backup_secret", "-e", json.dumps(wanted))
    promise((vault / newest.name).read_bytes() == newest.read_bytes(), "a copy that was altered is replaced")

    opened = [open_share(env, shares, name) for name in ("carol", "alice")]
    restore = ("holdfast.sso.restore_secret", "-vvv", "-e", f"sso_restore_host={standby}", "-e")
    one = env.playbook(*restore, json.dumps(wanted | {"sso_backup_share_files": [str(opened[0])]}))
    promise(one.code != 0 and "2 shares are needed, 1 given" in one.output, "one share of two is refused, and says so")
    two = env.must(*restore, json.dumps(wanted | {"sso_backup_share_files": [str(path) for path in opened]}))
    promise(two.code == 0, "two shares open the backup")
    left = env.ssh(standby, "ls /run | grep holdfast || true")
    promise(left.strip() == "", f"nothing of them is left on the host: {left}")
    return {path.name: base64.b64decode(json.loads(path.read_bytes())["value"]) for path in opened}
