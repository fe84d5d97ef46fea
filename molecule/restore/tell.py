"""No standby has a sealed copy: the secret comes from the backup file. Every wrong file is refused, and changes nothing.

Then the environment as two files: a drill of them, and a recovery to empty hosts.
"""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import time
from pathlib import Path
from typing import Any

import recovery
import shares
from leaks import Watch, secrets_of
from story import PROJECT, Environment, Probes, promise, say, wait_for, write_report

env = Environment("mol-restore", PROJECT / "inventories" / "standby" / "groups.yml")
SERVERS = ["m1", "m2"]
BACKUPS = env.state / "control" / "backup"
PASSPHRASE = (BACKUPS / "passphrase").read_text(encoding="utf-8").strip()
refusals: dict[str, bool] = {}


def status(host: str) -> Any:
    return env.must_ask(host, "GET", "/v1/status")


def age_opens(backup: Path) -> bool:
    """Debian's own age opens the backup; it takes a passphrase only from a terminal, so it gets one."""
    pid, terminal = pty.fork()
    out = env.state / "opened-by-age.json"
    if pid == 0:
        os.execvp("age", ["age", "-d", "-o", str(out), str(backup)])
    asked = b""
    while b":" not in asked and select.select([terminal], [], [], 20)[0]:
        asked += os.read(terminal, 1024)
    os.write(terminal, PASSPHRASE.encode() + b"\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    keys = json.loads(out.read_bytes())["keys"] if code == 0 else []
    out.unlink(missing_ok=True)
    return len(keys) == 1


def lose_everything(host: str) -> None:
    """The host forgets the keyring: no sealed copy, and a daemon that starts while nobody could tell it."""
    env.ssh(host, "systemctl stop ssod && rm -f /var/lib/ssod/keyring.sealed && systemctl start ssod")


def what_stays(host: str) -> tuple[Any, ...]:
    """What a refused restore leaves as it is."""
    seen = status(host)
    environment = {name: value for name, value in seen["environment"].items() if name != "master_confirmed_seconds"}
    return environment, seen["server"]["key_id"], seen["server"]["sealed_key_id"]


def refused(what: str, problem: str, content: bytes, passphrase: str = PASSPHRASE) -> None:
    """Restoring this is refused with this problem, and afterwards everything is as it was."""
    before = what_stays("m2")
    env.ssh("m2", "umask 077; cat > /run/try.age", stdin=content)
    env.ssh("m2", "umask 077; cat > /run/try.passphrase", stdin=passphrase.encode())
    done = env.ssh("m2", "ssoctl secret restore --yes --passphrase-file /run/try.passphrase /run/try.age 2>&1; echo exit $?")
    env.ssh("m2", "rm -f /run/try.age /run/try.passphrase")
    say(f"    {' '.join(done.split())[:240]}")
    refusals[what] = problem in done and "exit 1" in done and before == what_stays("m2")
    promise(refusals[what], f"{what} is refused as such, and nothing is changed")


def other_environment() -> bytes:
    """A real backup of another environment: an ssod of its own on m2, with SQLite, for a moment."""
    script = (Path(__file__).parent / "other_environment.sh").read_bytes()
    return bytes.fromhex(env.ssh("m2", "cat > /run/other.sh; bash /run/other.sh", stdin=script).strip().splitlines()[-1])


def interrupted() -> int:
    """Kill promote_master.yml at every task boundary; the next run, itself killed one boundary later, or to its end once there is
    another master, makes it good. Returns how many boundaries there were.
    """
    boundary, hosts = 1, SERVERS
    while True:
        target = next(host for host in hosts if status(host)["server"]["mastership"] != "active")
        log = env.new_log("interrupted")
        process = env.start_playbook("holdfast.sso.promote_master", "-e", f"sso_new_master={target}", log=log)
        while process.poll() is None and log.read_text(encoding="utf-8").count("\nTASK [") < boundary:
            time.sleep(0.01)  # between two looks at how far it has come
        if process.poll() is not None:
            promise(process.returncode == 0, f"the run that nobody interrupted at boundary {boundary} ends well")
            return boundary - 1
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for host in hosts:
            wait_for(lambda host=host: not env.at_work(host), f"what the killed run had begun on {host} is over", 60)
        actives = [host for host in hosts if status(host)["server"]["mastership"] == "active"]
        promise(len(actives) <= 1, f"killed at task boundary {boundary}: at most one master ({actives})")
        boundary += 1
        if actives and target not in actives:
            continue  # nothing is done yet that another run would not have to do
        run = env.must("holdfast.sso.promote_master", "-e", f"sso_new_master={target}")
        promise(run.code == 0 and status(target)["server"]["mastership"] == "active", f"and the next run makes {target} the master")


with Watch(env) as watch:
    Probes(env, SERVERS).equip("m1")
    Probes(env, SERVERS).equip("m2")
    backup = max(BACKUPS.glob("**/*.age"), key=lambda path: path.stat().st_mtime)
    good = backup.read_bytes()
    promise(age_opens(backup), "Debian's age opens the backup with the passphrase, without us")
    value = {"application": "kept", "context": "before", "plaintext": "a2VwdA=="}
    env.must_ask("m1", "PUT", "/v1/applications/kept", {"enabled": True, "users": ["group:sso-admins"], "fields": []})
    ciphertext = env.must_ask("m1", "POST", "/v1/encrypt", value)["ciphertext"]
    foreign = other_environment()

    env.power("off", "m1")
    lose_everything("m2")
    wait_for(lambda: status("m2")["server"]["can_decrypt"] is False, "m2 has no keyring", 30)
    promise("holds no keyring" in status("m2")["server"]["sentence"], "m2 says that it holds no keyring, and why")
    refused("a wrong passphrase", "does not open with this passphrase", good, "not the passphrase at all")
    refused("a truncated file", "cut off or altered", good[: len(good) - 40])
    refused("an altered file", "cut off or altered", good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    refused("a file that is no backup", "not an age file", b"hello" * 100)
    refused("a backup of another environment", "belongs to another environment", foreign, "passphrase of another one")
    # The database needs a key that the backup lacks: the situation after a rotation that this backup is older than.
    unknown = "INSERT INTO master_key VALUES (decode(repeat('ab', 16), 'hex'), decode(repeat('cd', 64), 'hex'), now())"
    env.ssh("db1", f"su postgres -c \"psql -q sso -c \\\"{unknown}\\\"\"")
    refused("a backup that is older than the database needs", "lacks a key that the database needs", good)
    env.ssh("db1", "su postgres -c \"psql -q sso -c \\\"DELETE FROM master_key WHERE key_id = decode(repeat('ab', 16), 'hex')\\\"\"")

    stale = env.playbook("holdfast.sso.promote_master", "-vvv", "-e", "sso_new_master=m2", "-e", "sso_backup_passphrase_file=/dev/null")
    promise(stale.code != 0 and status("m2")["server"]["mastership"] == "passive", "a promotion without the passphrase is refused")
    promotion = env.must("holdfast.sso.promote_master", "-vvv", "-e", "sso_new_master=m2")
    opened = env.must_ask("m2", "POST", "/v1/decrypt", {"application": "kept", "context": "before", "ciphertext": ciphertext})
    promise(opened["plaintext"] == "a2VwdA==", "what was encrypted before the loss opens")
    promise(status("m2")["server"]["sealed_key_id"] is not None, "m2 keeps a sealed copy now")
    again = env.must("holdfast.sso.restore_secret", "-vvv", "-e", "sso_restore_host=m2")
    promise(again.changed == 0, "restoring what is there changes nothing")
    env.power("on", "m1")
    wait_for(lambda: env.ssh("m1", "systemctl is-active ssod", check=False).strip() == "active", "m1 is up", 60)
    wait_for(lambda: status("m1")["server"]["can_encrypt"], "m1 follows m2", 30)
    boundaries = interrupted()
    secrets = secrets_of(env)
    secrets |= shares.tell(env, BACKUPS, next(host for host in SERVERS if status(host)["server"]["mastership"] != "active"))

    say("the environment as two files")
    recovery.fill(env)
    drilled = recovery.drill(env, BACKUPS / "environment")
    recovered = recovery.recover(env, BACKUPS / "environment", BACKUPS / "passphrase", ciphertext)

leaked = watch.leaks(secrets)
write_report(
    "restore",
    {
        "hosts": {"m1": "trixie", "m2": "bookworm", "db1": "bookworm", "elsewhere": "trixie", "elsewhere-db": "trixie"},
        "figures": {
            "refusals": sum(refusals.values()),
            "promote_with_restore_seconds": round(promotion.seconds, 1),
            "task_boundaries_interrupted": boundaries,
            **drilled,
            **recovered,
            "leaks": len(leaked),
        },
    },
)
promise(leaked == [], f"no secret is in any output, journal, argv, environment or core file: {leaked}")
