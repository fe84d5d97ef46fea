"""The master loses its power, is cut off, is frozen; the standby is promoted; nothing that was acknowledged is lost.

Probes on every SSO server decrypt and encrypt all the time. Each fault begins with a settled environment and ends with one.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from leaks import Watch, secrets_of
from story import PROJECT, Environment, Probes, PromiseBroken, Seen, acknowledged_lost, promise, say, wait_for, write_report

SERVERS = ["m1", "m2", "s1", "s2"]
REFRESH = 60.0

env = Environment("mol-standby_promotion", PROJECT / "inventories" / "standby" / "groups.yml")
probes = Probes(env, SERVERS)


def server(host: str) -> Any:
    return env.must_ask(host, "GET", "/v1/status")["server"]


def refuses(host: str) -> Any:
    """The problem document of a refused encryption; None while it is not refused."""
    status, document = env.ask(host, "POST", "/v1/selftest", {})
    return document if status == 503 else None


def settled() -> bool:
    """Every server answers, is attached and follows the same master."""
    try:
        states = [server(host) for host in SERVERS]
    except PromiseBroken:
        return False  # a daemon that is just being started again
    return all(state["can_encrypt"] for state in states) and len({(state["master"], state["epoch"]) for state in states}) == 1


def figures_of(began: float, working: float, broken: set[str], survivors: list[str]) -> dict[str, Any]:
    """What the probes saw of one fault; `broken` hosts' own decrypts do not count, for they had no daemon."""
    seen = Seen({host: probes.lines(host, after=began) for host in SERVERS})
    failed = [line for line in seen.failed("decrypt") if line["host"] not in broken]
    if failed:
        say(f"  failed decrypts: {failed[:5]}")
    return {
        "refusal_seen_after_seconds": round(seen.last_first("encrypt", False, began, survivors) - began, 2),
        "encrypt_again_seconds": round(seen.last_first("encrypt", True, working, survivors) - began, 2),
        "failed_decrypts": len(failed),
        "acknowledged_lost": acknowledged_lost(env, seen, survivors[-1]),
        "masters_at_once": seen.masters_at_once(),
    }


def fault(name: str, old: str, new: str, break_it: Any, mend: Any, *, broken: bool) -> dict[str, Any]:
    """One fault of the master `old`, and the promotion of `new`; `broken` if the fault ends the daemon of `old`."""
    say(f"fault: {name} of {old}")
    wait_for(settled, "the environment is settled", 30)
    epoch = server(new)["epoch"]
    survivors = [host for host in SERVERS if host != old]
    began = time.time()
    break_it(old)
    documents = {host: wait_for(lambda host=host: refuses(host), f"{host} refuses to encrypt", REFRESH) for host in survivors}
    for host, document in documents.items():
        promise(
            document["type"] == "urn:holdfast:problem:master-lost" and old in document["detail"] and "promote" in document["next"],
            f"{host} refuses with the named error, the master's name and the next step",
        )
    metrics = env.must_ask(survivors[0], "GET", "/metrics")
    promise("ssod_attached 0.0" in metrics and "ssod_can_decrypt 1.0" in metrics, "the metrics say so")
    promise(server(survivors[-1])["sentence"].startswith(f"detached: master {old} not seen for"), "the status says so")

    promotion = env.must("holdfast.sso.promote_master", "-e", f"sso_new_master={new}")
    wait_for(lambda: all(server(host)["can_encrypt"] for host in survivors), "every server encrypts again", 10)
    promise(server(new)["mastership"] == "active" and server(new)["epoch"] > epoch, f"{new} is the master of a newer epoch")
    mend(old)
    wait_for(lambda: server(old)["mastership"] == "passive" and server(old)["master"] == new, f"{old} follows {new}", 60)
    site = env.must("holdfast.sso.site")
    wait_for(settled, f"{old} is a standby again", 30)
    promise(server(old)["sealed_key_id"] == server(new)["key_id"], f"{old} keeps a current sealed copy again")

    figures = figures_of(began, promotion.started, {old} if broken else set(), survivors)
    seen = Seen({host: probes.lines(host, after=began) for host in SERVERS})
    encrypted = seen.last_first("encrypt", True, promotion.started, survivors)
    figures |= {
        "promote_seconds": round(encrypted - promotion.started, 2),
        "activation_to_last_attached_seconds": round(encrypted - seen.first_claim(new, promotion.started), 2),
        "site_afterwards_changed": site.changed,
    }
    say(f"  {figures}")
    return figures


def frozen(master: str) -> dict[str, Any]:
    """The master's daemon hangs: its watchdog ends it, and it comes back as the master by itself."""
    say(f"fault: the daemon of {master} is frozen")
    wait_for(settled, "the environment is settled", 30)
    pid = int(env.ssh(master, "systemctl show ssod -p MainPID --value"))
    if pid <= 1:
        raise PromiseBroken(f"ssod of {master} does not run")
    epoch, began = server(master)["epoch"], time.time()
    env.ssh(master, f"kill -STOP {pid}")
    wait_for(lambda: env.ssh(master, "systemctl show ssod -p MainPID --value").strip() not in {str(pid), "0"}, "it is replaced", 60)
    returned = time.time()
    wait_for(settled, "every server encrypts again", 30)
    promise(server(master)["mastership"] == "active" and server(master)["epoch"] == epoch, f"{master} is the master again, of the same epoch")
    figures = figures_of(began, returned, {master}, [host for host in SERVERS if host != master])
    say(f"  {figures}")
    return figures


def wait_until_up(host: str) -> None:
    env.power("on", host)
    wait_for(lambda: env.ssh(host, "systemctl is-active ssod", check=False).strip() == "active", f"ssod of {host} is up", 60)
    probes.run(host)


with Watch(env) as watch:
    second = env.must("holdfast.sso.site")
    promise(second.changed == 0, "a second site.yml changes nothing")
    probes.start()
    began_all = time.time()

    epoch = server("m1")["epoch"]
    wrong = env.playbook("holdfast.sso.promote_master", "-e", "sso_new_master=s1")
    promise(wrong.code != 0 and "may_become_master" in wrong.output, "a server that may not become master is refused, and told why")
    promise(server("s1")["epoch"] == epoch and server("m1")["mastership"] == "active", "the refusal changed nothing")

    faults: dict[str, list[dict[str, Any]]] = {"power-off": [], "cut off": [], "frozen": []}
    off, cut, join = (partial(env.power, verb) for verb in ("off", "cut", "join"))
    faults["power-off"].append(fault("power-off", "m1", "m2", off, wait_until_up, broken=True))
    journal = env.ssh("m1", "journalctl -u ssod -b --no-pager -o cat")
    promise("has begun (master: m2)" in journal, "the old master, back again, says that a newer epoch has begun")
    faults["power-off"].append(fault("power-off", "m2", "m1", off, wait_until_up, broken=True))
    faults["cut off"].append(fault("cut off", "m1", "m2", cut, join, broken=False))
    faults["frozen"].append(frozen("m2"))

    again = env.must("holdfast.sso.promote_master", "-e", "sso_new_master=m2")
    promise(again.changed == 0 and "nothing was to do" in again.output, "promoting the master again says that nothing is to do")
    probes.stop()

everything = Seen({host: probes.lines(host, after=began_all) for host in SERVERS})
leaked = watch.leaks(secrets_of(env))
runs = [run for each in faults.values() for run in each]
promotions = [run for run in runs if "promote_seconds" in run]
write_report(
    "standby_promotion",
    {
        "hosts": {host: env.ssh(host, ". /etc/os-release; printf %s $VERSION_CODENAME") for host in [*SERVERS, "db1"]},
        "figures": {
            "decrypts": everything.count("decrypt"),
            "failed_decrypts": sum(run["failed_decrypts"] for run in runs),
            "acknowledged_lost": acknowledged_lost(env, everything, "s2"),
            "masters_at_once": everything.masters_at_once(),
            "promote_seconds": max(run["promote_seconds"] for run in promotions),
            "activation_to_last_attached_seconds": max(run["activation_to_last_attached_seconds"] for run in promotions),
            "refusal_seen_after_seconds": max(run["refusal_seen_after_seconds"] for run in runs),
            "site_second_run_changed": second.changed,
            "site_second_run_seconds": round(second.seconds, 1),
            "leaks": len(leaked),
        },
        "faults": [{"fault": name, "runs": each} for name, each in faults.items()],
    },
)
promise(leaked == [], f"no secret is in any output, journal, argv, environment or core file: {leaked}")
promise(all(run["failed_decrypts"] == 0 for run in runs), "not one decrypt failed")
promise(all(run["acknowledged_lost"] == 0 for run in runs), "nothing that was acknowledged is lost")
promise(everything.masters_at_once() == 1, "there were never two masters")
promise(all(run["refusal_seen_after_seconds"] <= REFRESH for run in runs), "encryption was refused within one refresh")
