"""All servers are upgraded and taken back, while probes ask. Then servers come and go: one is added, removed, and added again;
certificates are renewed and the CA is another; a standby dies, comes back and is let in nowhere, and a new host takes its name. Probes
decrypt all the time, and no server that stays is restarted.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from pathlib import Path
from typing import Any

from leaks import Watch, secrets_of
from story import PROJECT, Environment, Probes, PromiseBroken, Seen, acknowledged_lost, promise, say, wait_for, write_report
from upgrade import Upgrade

HERE = Path(__file__).parent
STAYING = ["m1", "s1"]
SERVERS = ["m1", "m2", "s1"]

env = Environment("mol-servers", PROJECT / "inventories" / "standby" / "groups.yml")
probes = Probes(env, STAYING)
as_made = env.inventories
with_s2 = [*as_made, HERE / "inventory" / "with_s2.yml"]
figures: dict[str, Any] = {}


def server(host: str) -> Any:
    return env.must_ask(host, "GET", "/v1/status")["server"]


def starts(hosts: list[str]) -> dict[str, str]:
    """Which process ssod is on each host, and since when: what a restart would change."""
    return {host: env.ssh(host, "systemctl show ssod -p MainPID -p ActiveEnterTimestampMonotonic --value") for host in hosts}


def settled(*hosts: str) -> bool:
    try:
        return all(server(host)["can_encrypt"] for host in hosts)
    except PromiseBroken:
        return False  # it is just being started


def refused_at_the_api(at: str, by: str, files: str) -> bool:
    """Whether ssod of `at` refuses the certificate that lies in a directory on `by`, as revoked and as nothing else."""
    asking = (
        "import http.client, json, ssl; c = ssl.create_default_context(cafile='/etc/ssod/tls/ca.pem');"
        f"c.load_cert_chain('{files}/server.pem', '{files}/server.key'); c.check_hostname = False;"
        f"k = http.client.HTTPSConnection('{env.variables[at]['ansible_host']}', 7443, context=c, timeout=5);"
        "k.request('GET', '/v1/peer/keyring'); r = k.getresponse(); print(r.status, json.loads(r.read() or b'{}').get('type'))"
    )
    return env.ssh(by, f"python3 -c {shlex.quote(asking)} 2>&1", check=False).strip() == "403 urn:holdfast:problem:certificate-revoked"


def refused_by_postgresql(by: str, files: str) -> str:
    """What PostgreSQL says to the certificate that lies in a directory on `by`; it is asked as ssod asks."""
    url = (
        f"host={env.variables['m1']['ansible_host']} dbname=sso user=ssod sslmode=verify-full sslrootcert=/etc/ssod/tls/ca.pem "
        f"sslcert={files}/server.pem sslkey={files}/server.key connect_timeout=5"
    )
    asking = f"import psycopg; psycopg.connect({url!r}); print('let in')"
    return env.ssh(by, f"/opt/ssod/current/bin/python -c {shlex.quote(asking)} 2>&1 | tail -1", check=False).strip()


def twice(playbook: str, *arguments: str) -> Any:
    """Runs a playbook, and once more, which changes nothing."""
    first = env.must(playbook, *arguments)
    promise(env.must(playbook, *arguments).changed == 0, f"a second {playbook} changes nothing")
    return first


def refused(what: str, words: str, playbook: str, *arguments: str) -> None:
    """The playbook is refused, in these words."""
    run = env.playbook(playbook, *arguments)
    promise(run.code != 0 and words in " ".join(run.output.split()) and run.changed == 0, f"{what} is refused, and nothing is changed")


def renewed_since(before: dict[str, Any], hosts: list[str]) -> bool:
    return all(server(host)["certificate"]["serial"] != before[host]["serial"] for host in hosts)


def sentence_of_a_removed(host: str) -> str:
    try:
        said = str(server(host)["sentence"])
    except PromiseBroken:
        return ""  # it is just being started
    return said if said.startswith("REMOVED") else ""


def certificates(hosts: list[str]) -> dict[str, Any]:
    return {host: server(host)["certificate"] for host in hosts}


def broken_off(step: str, *arguments: str) -> None:
    """Begins the rollover of the CA, and kills it when its step has been noted and the first hosts are at it."""
    log = env.new_log("rotate_ca")
    process = env.start_playbook(ROTATE, *arguments, log=log)
    noted = env.state / "control" / "pki" / "rollover"

    def is_at_it() -> bool:
        if process.poll() is not None:
            raise PromiseBroken(f"the run ended by itself: {log.read_text(encoding='utf-8')[-2000:]}")
        begun = log.read_text(encoding="utf-8").rpartition("PLAY [Bring the SSO database to the step]")[2]
        return noted.exists() and noted.read_text(encoding="utf-8").strip() == step and "TASK" in begun

    wait_for(is_at_it, f"the rollover is in the step {step}", 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    say(f"  rotate_ca was killed in the step {step}")


REMOVE, ADD, RENEW, ROTATE = (f"holdfast.sso.{name}" for name in ("remove_server", "add_server", "renew_certificates", "rotate_ca"))

with Watch(env) as watch:
    for host in ("m2", "s2"):
        probes.equip(host)
    everywhere = Probes(env, SERVERS)
    everywhere.start()
    figures |= Upgrade(env, everywhere, ["m2", "s1", "m1"]).tell()
    env.ssh("m2", "systemctl stop probe")
    began = time.time()
    before = starts(SERVERS)

    say("a server is added")
    env.inventories = with_s2
    figures["add_seconds"] = round(twice(ADD, "-e", "sso_new_server=s2").seconds, 1)
    promise(settled("s2") and starts(SERVERS) == before, "s2 encrypts, and no other server was restarted")

    say("it is removed, while it can be reached")
    refused("a removal that does not say what becomes of the secret", "sso_rotate=yes", REMOVE, "-e", "sso_removed_server=s2")
    refused("the removal of the master", "promote_master.yml", REMOVE, "-e", "sso_removed_server=m1", "-e", "sso_rotate=no")
    env.ssh("s2", "cp -a /etc/ssod/tls /srv/stolen")
    held = server("m1")["key_id"]
    removal = env.must(REMOVE, "-e", "sso_removed_server=s2", "-e", "sso_rotate=yes")
    figures["remove_and_rotate_seconds"] = round(removal.seconds, 1)
    keys = {server(host)["key_id"] for host in SERVERS}
    promise(len(keys) == 1 and held not in keys, "the master secret that it held is not the current one any more")
    promise("stopped and wiped" in removal.output, "it is said that the host was wiped")
    env.ssh("s2", "mkdir -p /etc/ssod && cp -a /srv/stolen /etc/ssod/tls")
    for host in SERVERS:
        promise(refused_at_the_api(host, "s2", "/srv/stolen"), f"{host} refuses the certificate that was stolen from s2")
    said = refused_by_postgresql("s2", "/srv/stolen")
    promise("revoked" in said, f"PostgreSQL refuses it as revoked: {said}")
    env.ssh("s2", "rm -rf /etc/ssod")
    left = env.ssh("s2", "ls -d /var/lib/ssod /etc/ssod /etc/systemd/system/ssod.service 2>/dev/null; systemctl is-active ssod; true")
    promise(left.strip() in ("inactive", "unknown", "failed"), f"nothing of it is left on s2: {left}")
    promise(env.must(REMOVE, "-e", "sso_removed_server=s2", "-e", "sso_rotate=no").changed == 0, "a second removal changes nothing")
    promise(starts(SERVERS) == before, "no other server was restarted")

    say("every certificate is renewed")
    env.inventories = as_made
    shown = certificates(SERVERS)
    env.must(RENEW, "-e", "sso_certificate_renew_days=398")
    promise(renewed_since(shown, SERVERS) and settled(*SERVERS), "every server shows another certificate")
    promise(env.must(RENEW).changed == 0, "with the days that are usual nothing is renewed")
    promise(starts(SERVERS) == before, "no server was restarted")

    say("the CA is another")
    promise(env.must(ROTATE).changed == 0, "a CA that has years to go is left alone")
    env.ssh("m2", "systemctl stop ssod")
    refused("a step while m2 is down", "m2 does not answer", ROTATE, "-e", "sso_ca_rotate=now")
    env.ssh("m2", "systemctl start ssod")
    wait_for(lambda: settled(*SERVERS), "m2 is back", 30)
    before = before | starts(["m2"])
    shown = certificates(SERVERS)
    broken_off("trust", "-e", "sso_ca_rotate=now")
    env.must("holdfast.sso.undo_rotate_ca")
    promise(certificates(SERVERS) == shown, "a rollover that was broken off is undone")
    broken_off("issue", "-e", "sso_ca_rotate=now")
    figures["both_cas_seconds"] = round(env.must(ROTATE).seconds, 1)
    both = certificates(SERVERS)
    promise(all(len(each["authorities"]) == 2 for each in both.values()), "another one that was broken off goes on: both CAs are trusted")
    promise(all(both[host]["issuer"] != shown[host]["issuer"] for host in SERVERS), "every certificate is of the new one")
    env.must(ROTATE, "-e", "sso_ca_drop=true")
    alone = certificates(SERVERS)
    promise(all(each["authorities"] == [both[host]["issuer"]] for host, each in alone.items()), "the old CA is trusted no more")
    promise(env.must(ROTATE).changed == 0, "then nothing is to be done")
    promise(starts(SERVERS) == before, "no server was restarted")
    wait_for(lambda: settled(*SERVERS), "every server is attached", 10)

    say("the standby dies, and another host takes its name")
    env.power("off", "m2")
    refused("the removal of a host that may come back", "sso_server_is_gone=true", REMOVE, "-e", "sso_removed_server=m2", "-e", "sso_rotate=no")
    gone = env.must(REMOVE, "-e", "sso_removed_server=m2", "-e", "sso_rotate=no", "-e", "sso_server_is_gone=true")
    promise("NOT wiped" in gone.output, "it is said that it could not be wiped")
    inventory = {"all": {"hosts": {"m2": {"ansible_host": env.variables["s2"]["ansible_host"]}}}}
    replaced = env.state / "replaced.json"
    replaced.write_text(json.dumps(inventory), encoding="utf-8")
    env.inventories = [*as_made, replaced]
    figures["replace_seconds"] = round(env.must(ADD, "-e", "sso_new_server=m2").seconds, 1)
    standby = server("s2")
    promise((standby["name"], standby["may_become_master"]) == ("m2", True) and standby["can_encrypt"], "the new host is the standby m2")
    promise(standby["sealed_key_id"] == standby["key_id"], "it keeps a sealed copy")
    env.power("on", "m2")
    sentence = wait_for(lambda: sentence_of_a_removed("m2"), "the dead m2 says that it was removed", 60)
    say(f"    {sentence}")
    for host in STAYING:
        promise(refused_at_the_api(host, "m2", "/etc/ssod/tls"), f"{host} refuses the certificate of the m2 that was dead")
    promise(settled("s2", *STAYING), "the others go on, with the new m2")

    say("the one that was dead is a server again, under another name")
    hosts = inventory["all"]["hosts"] | {"m3": {"ansible_host": env.variables["m2"]["ansible_host"]}}
    replaced.write_text(json.dumps({"all": {"hosts": hosts, "children": {"sso_servers": {"hosts": {"m3": {}}}}}}), encoding="utf-8")
    env.must(ADD, "-e", "sso_new_server=m3", "--check")
    promise(sentence_of_a_removed("m2"), "check mode changes nothing of it")
    env.must(ADD, "-e", "sso_new_server=m3")
    promise(server("m2")["name"] == "m3" and settled("m2", "s2", *STAYING), "with a key of its own it is let in")
    promise(starts(STAYING) == {host: before[host] for host in STAYING}, "none was restarted")
    probes.stop()

seen = Seen({host: probes.lines(host, after=began) for host in STAYING})
leaked = watch.leaks(secrets_of(env))
figures |= {
    "decrypts": seen.count("decrypt"),
    "failed_decrypts": len(seen.failed("decrypt")),
    "failed_encrypts": len(seen.failed("encrypt")),
    "longest_pause_of_encryption_seconds": round(max(seen.longest_pause(host, began) for host in STAYING), 2),
    "acknowledged_lost": acknowledged_lost(env, seen, "s1"),
    "leaks": len(leaked),
}
write_report("servers", {"hosts": {host: env.ssh(host, ". /etc/os-release; printf %s $VERSION_CODENAME") for host in env.variables}, "figures": figures})
promise(leaked == [], f"no secret is in any output, journal, argv, environment or core file: {leaked}")
promise(figures["failed_decrypts"] == 0, "not one decrypt failed")
promise(figures["failed_encrypts"] == 0, f"not one encryption was refused: {seen.failed('encrypt')[:3]}")
promise(figures["acknowledged_lost"] == 0, "nothing that was acknowledged is lost")
