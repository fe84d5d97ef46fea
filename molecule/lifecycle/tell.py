"""Two rotations of the master secret under load. The master that rotates loses its power in the middle of each phase, the other one
is promoted and goes on. In the end a dump of the database from before both is restored, and opens.
"""

from __future__ import annotations

import os
import shlex
import signal
import time
from typing import Any

from leaks import Watch, secrets_of
from story import PROJECT, Environment, Probes, PromiseBroken, Seen, acknowledged_lost, promise, say, wait_for, write_report

MASTERS = ["m1", "m2"]
SERVERS = [*MASTERS, "s1", "s2", "s3"]
MAPPINGS = 6000
ROTATE = "holdfast.sso.rotate_secret"
# So slow that there is a middle of it.
SLOWLY = ("-e", f"sso_rotate_rate={MAPPINGS // 4}")
USED = {"administrators": ["group:probe"], "users": ["group:probe"]}
DUMP = "/var/tmp/before.dump"  # noqa: S108  on a test host of our own

env = Environment("mol-lifecycle", PROJECT / "inventories" / "standby" / "groups.yml")
probes = Probes(env, SERVERS)
found: dict[str, Any] = {}


def server(host: str) -> Any:
    return env.must_ask(host, "GET", "/v1/status")["server"]


def rotation() -> Any:
    return env.must_ask("s3", "GET", "/v1/secret/rotation")


def master() -> str:
    return str(server("s3")["master"])


def settled() -> bool:
    """Every server is attached to one master and holds one secret, and each standby keeps it."""
    try:
        states = {host: server(host) for host in SERVERS}
    except PromiseBroken:
        return False  # one that is just being started
    kept = {states[host]["sealed_key_id"] for host in MASTERS}
    return all(state["can_encrypt"] for state in states.values()) and kept == {state["key_id"] for state in states.values()}


def at(moment: str) -> None:
    """Returns at a moment of the rotation, which s3 looks for all the time. `r` is what GET /v1/secret/rotation answers."""
    watching = (
        "import sys; sys.path.insert(0, '/usr/local/lib'); from probe import Asker; asker = Asker()\n"
        "while True:\n"
        " status, r = asker.ask('GET', '/v1/secret/rotation')\n"
        f" if status == 200 and ({moment}): sys.exit(0)"
    )
    env.ssh("s3", f"timeout 120 python3 -c {shlex.quote(watching)}")


def interrupted(phase: str, moment: str) -> None:
    """Begins or goes on with the rotation, has the power of the master off at a moment of it, and promotes the other one."""
    old = master()
    new = next(host for host in MASTERS if host != old)
    say(f"phase {phase}: {old} rotates and loses its power")
    process = env.start_playbook(ROTATE, *SLOWLY, log=env.new_log(ROTATE))
    at(moment)
    env.power("off", old)
    os.killpg(process.pid, signal.SIGTERM)  # whoever ran it sees it hang
    process.wait()
    state = rotation()
    found[phase] = {"next": bool(state["next"]), "backed up": bool(state["next"] and state["next"]["backup"]), "left": state["left"]}
    say(f"  found: {found[phase]}")
    env.must("holdfast.sso.promote_master", "-e", f"sso_new_master={new}")
    env.power("on", old)
    wait_for(lambda: env.ssh(old, "systemctl is-active ssod", check=False).strip() == "active", f"ssod of {old} is up", 60)
    probes.run(old)
    wait_for(settled, "every server holds the same secret, and encrypts", 60)


def read_on(host: str) -> str:
    return str(env.must_ask(host, "GET", "/v1/applications/kept/config/in?reveal=true")["properties"]["password"])


with Watch(env) as watch:
    probes.start()
    began = time.time()
    env.must_ask("m1", "PUT", "/v1/applications/kept", {"enabled": True, **USED, "fields": [{"name": "password", "masked": True}]})
    env.must_ask("s1", "PUT", "/v1/applications/kept/config/in", {"properties": {"password": "from before"}})
    fields = [{"name": name, "masked": True} for name in ("password", "pin")]
    env.must_ask("m1", "PUT", "/v1/applications/people", {"type": "individual", "enabled": True, **USED, "fields": fields})
    people = "principal,external_id,password,pin\n" + "".join(f"user:u{n},account{n},password{n},{n}\n" for n in range(MAPPINGS))
    say("  " + env.ssh("s1", "ssoctl mapping load people --format csv -", stdin=people.encode()).strip())
    env.ssh("db1", f"runuser -u postgres -- pg_dump --format=custom --file={DUMP} sso")
    first = rotation()["current_key_id"]
    values = rotation()["values"][first]

    check = env.must(ROTATE, "--check")
    promise("would be rotated" in check.output and rotation()["next"] is None, "check mode says that it would rotate, and does nothing")

    say("the first rotation")
    interrupted("generate", "r['next']")
    interrupted("distribute", "r['next'] and r['next']['backup']")
    interrupted("switch", f"r['current_key_id'] != {first!r}")
    interrupted("re-encrypt", f"r['current_key_id'] != {first!r} and 0 < r['left'] < {values // 2}")
    if rotation()["left"] or rotation()["next"]:
        finished = env.must(ROTATE)
        promise("every value is under it" in finished.output, "the next run finishes it, and says so")
    second = rotation()
    promise(second["current_key_id"] != first and not second["left"], "every value is under the second secret")

    say("the second rotation")
    interrupted("retire", f"r['current_key_id'] != {second['current_key_id']!r} and r['left'] == 0")
    third = rotation()
    promise(third["current_key_id"] not in {first, second["current_key_id"]} and not third["left"], "every value is under the third secret")
    promise(not env.must(ROTATE, "-e", "sso_rotate_max_age=30").changed, "a rotation of a secret that is young enough changes nothing")
    env.must("holdfast.sso.backup_secret")
    backup = env.must_ask(master(), "GET", "/v1/secret")["backup"]
    promise(backup["key_id"] == third["current_key_id"], "a verified backup holds it")

    seen = Seen({host: probes.lines(host, after=began) for host in SERVERS})
    lost = acknowledged_lost(env, seen, "s3")
    refused_writes = [line for line in seen.failed("encrypt") if "master-lost" not in str(line.get("problem"))]

    say("the database is restored from before both rotations")
    env.must_ask("s1", "PUT", "/v1/applications/kept/config/in", {"properties": {"password": "from after"}})
    # As the runbook database-lost has it: a server that looks at the database meanwhile, table after table, would deadlock with it.
    sessions = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'ssod'"
    env.ssh("db1", f'runuser -u postgres -- psql --dbname=sso --command="alter role ssod nologin" --command="{sessions}"')
    env.ssh("db1", f"runuser -u postgres -- pg_restore --clean --if-exists --single-transaction --dbname=sso {DUMP}")
    env.ssh("db1", 'runuser -u postgres -- psql --dbname=sso --command="alter role ssod login"')
    wait_for(lambda: not server("s3")["can_encrypt"], "an older copy of the database is noticed", 60)
    env.must("holdfast.sso.promote_master", "-e", "sso_new_master=m2")
    wait_for(settled, "every server works with it", 60)
    promise(rotation()["current_key_id"] == first and server("s1")["key_id"] == first, "its secret is the current one again")
    promise([read_on(host) for host in SERVERS] == ["from before"] * len(SERVERS), "and every server opens what is in it")
    promise(sum(rotation()["values"].values()) == values, "all values are there")

    say("what only the other copy needed is forgotten")
    pruned = env.ssh("m2", "ssoctl secret prune --days 0 --keep 0 --yes")
    promise(second["current_key_id"] in pruned and third["current_key_id"] in pruned and first not in pruned, "the current one stays")
    wait_for(lambda: all(len(server(host)["held_key_ids"]) == 1 for host in SERVERS), "no server holds them any more", 30)
    promise([read_on(host) for host in SERVERS] == ["from before"] * len(SERVERS), "every value opens as before")
    probes.stop()

everything = Seen({host: probes.lines(host, after=began) for host in SERVERS})
leaked = watch.leaks(secrets_of(env))
figures = {
    "values": values,
    "decrypts": everything.count("decrypt"),
    "failed_decrypts": len(everything.failed("decrypt")),
    "refused_writes_but_while_a_master_was_lost": len(refused_writes),
    "acknowledged_lost": lost,
    "leaks": len(leaked),
} | {f"{phase}: {key}": value for phase, each in found.items() for key, value in each.items()}
write_report("lifecycle", {"hosts": {host: env.ssh(host, ". /etc/os-release; printf %s $VERSION_CODENAME") for host in [*SERVERS, "db1"]}, "figures": figures})
promise(leaked == [], f"no secret is in any output, journal, argv, environment or core file: {leaked}")
promise(figures["failed_decrypts"] == 0, f"not one decrypt failed: {everything.failed('decrypt')[:3]}")
promise(not refused_writes, f"not one write was refused for a rotation: {refused_writes[:3]}")
promise(figures["acknowledged_lost"] == 0, "nothing that was acknowledged is lost")
