"""The environment as two files: made, proved by a drill, and recovered to empty hosts with other names, another CA and other groups."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from story import PROJECT, Environment, Probes, promise, say, wait_for

NEW = {"sso_database": "elsewhere-db", "sso_master": "elsewhere"}
RECOVER = "holdfast.sso.recover"


def fill(env: Environment) -> None:
    """What a recovery has to bring back: a configuration, a group's account, and who may do what."""
    access = {"enabled": True, "users": ["group:sso-admins", "group:old-team"], "fields": [{"name": "password", "masked": True}]}
    env.must_ask("m1", "PUT", "/v1/applications/payroll", access)
    env.must_ask("m1", "PUT", "/v1/applications/payroll/config/in", {"properties": {"password": "of the old place"}})
    env.must_ask("m1", "PUT", "/v1/applications/teams", access | {"type": "group"})
    account = {"external_id": "T1", "credentials": {"password": "of the old team"}}
    env.must_ask("m1", "PUT", "/v1/applications/teams/mappings/group:old-team", account)


def drill(env: Environment, backups: Path) -> dict[str, float]:
    """Makes the pair; green as it is, red with one byte changed in either file."""
    made = env.must("holdfast.sso.backup_environment", "-vvv")
    (manifest,) = backups.glob("*/manifest.json")
    known = json.loads(manifest.read_text(encoding="utf-8"))
    promise({known["database"]["file"], known["secret"]["file"]} < {path.name for path in manifest.parent.iterdir()}, "a pair, and its manifest")
    green = env.must("holdfast.sso.drill", "-vvv")
    report = json.loads(max((backups / "drills").glob("*.json")).read_text(encoding="utf-8"))
    promise(report["ok"] and "GREEN" in green.output, "the drill is green")
    opened = {each["name"]: each["opened"] for each in report["proved"]["applications"]}
    promise(opened["payroll"] == opened["teams"] == 1, f"it opened a sample of every application: {opened}")
    for file in (known["database"]["file"], known["secret"]["file"]):
        path = manifest.parent / file
        good = path.read_bytes()
        middle = len(good) // 2
        path.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :])
        red = env.playbook("holdfast.sso.drill")
        path.write_bytes(good)
        promise(red.code != 0 and "RED" in red.output and f"{file} is not what was written there" in red.output, f"one byte of {file} is red")
    promise(env.must_ask("m1", "GET", "/v1/status")["environment"]["id"] == known["environment_id"], "the environment is as it was")
    seconds = {"backup_environment_seconds": round(made.seconds, 1), "drill_seconds": round(green.seconds, 1)}
    return seconds | {f"drill_{step}_seconds": value for step, value in report["seconds"].items()}


def empty_hosts(env: Environment) -> Environment:
    """An inventory of the new hosts, in which nothing of the old place is."""
    hosts = {name: {key: value for key, value in env.variables[name].items() if key.startswith("ansible_")} for name in NEW.values()}
    directory = env.state / "elsewhere"
    variables = {"sso_environment": "elsewhere", "sso_pki_dir": f"{directory}/pki", "sso_backup_dir": f"{directory}/backup"}
    master = {"sso_master": {"hosts": {NEW["sso_master"]: {}}}}
    children = {"sso_database": {"hosts": {NEW["sso_database"]: {}}}, "sso_servers": {"children": master}}
    directory.mkdir(exist_ok=True)
    inventory = directory / "hosts.yml"
    inventory.write_text(json.dumps({"all": {"vars": variables, "hosts": hosts, "children": children}}), encoding="utf-8")
    elsewhere = Environment(env.name, PROJECT / "inventories" / "standby" / "groups.yml")
    elsewhere.inventories = [inventory]
    return elsewhere


def killed(elsewhere: Environment, at: str, *words: str) -> None:
    """A recovery that ends with the control node, while a task is under way; what that had begun on a host goes on to its end."""
    log = elsewhere.new_log(RECOVER + "-killed")
    process = elsewhere.start_playbook(RECOVER, *words, log=log)
    while process.poll() is None and at not in log.read_text(encoding="utf-8"):
        time.sleep(0.05)  # between two looks at how far it has come
    promise(process.poll() is None, f"the recovery is at the task {at!r}")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for host in NEW.values():
        wait_for(lambda host=host: not elsewhere.at_work(host), f"what the killed run had begun on {host} is over", 60)


def recover(env: Environment, backups: Path, passphrase: Path, ciphertext: str) -> dict[str, Any]:
    """The old place has no power; there are two files and a passphrase."""
    files = env.state / "elsewhere-files"
    files.mkdir()
    pair = max(backups.glob("*/manifest.json")).parent
    for source, name in ((pair / "database.dump", "database.dump"), (pair / "secret.age", "secret.age"), (passphrase, "passphrase")):
        shutil.copyfile(source, files / name)
    old = env.must_ask("m1", "GET", "/v1/status")
    elsewhere, new = empty_hosts(env), NEW["sso_master"]
    for host in ("m1", "m2", "db1"):
        env.power("off", host)

    def words(dump: str = "database.dump") -> list[str]:
        given = {"sso_recover_dump": dump, "sso_recover_secret": "secret.age", "sso_backup_passphrase_file": "passphrase"}
        return ["-vvv", *(part for name, file in given.items() for part in ("-e", f"{name}={files / file}"))]

    names = ["-e", json.dumps({"sso_recover_principals": {"group:old-team": "group:users"}})]
    check = elsewhere.must(RECOVER, *words(), "--check")
    found = elsewhere.ssh(new, "ls -d /etc/ssod /opt/ssod /var/lib/holdfast-recovery 2>/dev/null", check=False)
    promise(check.changed and not found, "check mode says that something would be done, and does nothing")
    cluster = elsewhere.playbook(RECOVER, *words(), "-e", "sso_topology=cluster")
    promise(cluster.code != 0 and "recover to standby_promotion first" in cluster.output, "a cluster is refused, with what to do instead")
    refused = elsewhere.playbook(RECOVER, *words())
    promise(refused.code != 0 and f"{new} has no group old-team" in refused.output, "a group that the new hosts lack is refused by name")
    for task in ("Make it the database of the new servers", "Back the master secret up here"):
        killed(elsewhere, task, *words(), *names)
    run = elsewhere.must(RECOVER, *words(), *names)
    promise("is recovered, as elsewhere" in run.output, "the next run completes it, and reports what those before it did")

    Probes(elsewhere, [new]).equip(new)
    status = elsewhere.must_ask(new, "GET", "/v1/status")
    promise([each["name"] for each in status["servers"]] == [new], "its servers are the new ones, and no other")
    promise(status["environment"]["id"] == old["environment"]["id"] and status["environment"]["master"] == new, "it is the environment")
    promise(status["environment"]["epoch"] > old["environment"]["epoch"] + 1000, "its epoch is above any that was given out")
    promise(f"{new}:/var/backups" in status["environment"]["backup_place"], "there is a new verified backup")
    stored = elsewhere.must_ask(new, "GET", "/v1/applications/payroll/config/in?reveal=true")
    promise(stored["properties"]["password"] == "of the old place", "a configuration opens")
    opened = elsewhere.must_ask(new, "POST", "/v1/decrypt", {"application": "kept", "context": "before", "ciphertext": ciphertext})
    promise(opened["plaintext"] == "a2VwdA==", "what a program kept itself opens")
    listed = elsewhere.must_ask(new, "GET", "/v1/applications/teams/mappings")["mappings"]
    promise([each["principal"] for each in listed] == ["group:users"], "a group's account has the group's new name")
    elsewhere.ssh(new, "useradd --system --no-create-home --groups users teammate")
    own = elsewhere.must_ask(new, "GET", "/v1/applications/teams/credentials", user="teammate")
    promise("of the old team" in json.dumps(own), "and opens for a member of it")
    promise(not elsewhere.must(RECOVER, *words(), *names).changed, "a second run changes nothing")
    (files / "other.dump").write_bytes((files / "database.dump").read_bytes() + b"\0")
    taken = elsewhere.playbook(RECOVER, *words("other.dump"), *names)
    promise(taken.code != 0 and "holds an environment already" in taken.output, "hosts that hold an environment are refused")

    say("the old place has power again")
    for host in ("m1", "m2", "db1"):
        env.power("on", host)
        wait_for(lambda host=host: env.ssh(host, "echo up", check=False).strip() == "up", f"{host} is up", 60)
    return {"recover_seconds": round(run.seconds, 1)}
