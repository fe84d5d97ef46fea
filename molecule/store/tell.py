"""The whole store: declared by playbooks, used by every way in, moved as a file, and asked as everybody for everything.

Unix users are real and known by the kernel, programs by certificates of the environment's CA. Values are made anew for each run,
and no output may show one.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leaks import Watch, secrets_of
from story import PROJECT, Environment, promise, say, wait_for, write_report

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from certificates import Programs  # noqa: E402
from operations import PEOPLE, STRANGER, Question, allowed, questions  # noqa: E402
from sealing import PIN, change, restart_without_the_master  # noqa: E402

SERVERS = ["m1", "m2", "s1"]
EVERYBODY = [*PEOPLE.values(), STRANGER]
STORE = str(HERE / "store.yml")
SSOCTL = "/opt/ssod/current/bin/ssoctl"
UNIT = """\
[Unit]
Wants=ssod.service
After=ssod.service
[Service]
Type=oneshot
RemainAfterExit=yes
LoadCredential=sftp-password:/run/ssod/credentials.sock
ExecStart=/bin/sh -c 'sha256sum < "$CREDENTIALS_DIRECTORY/sftp-password" > /run/transfer.sum'
"""

env = Environment("mol-store", PROJECT / "inventories" / "standby" / "groups.yml")
values = {name: f"value-{secrets.token_hex(16)}" for name in ("password", "alice", "program")}
digests = {name: hashlib.sha256(value.encode()).hexdigest() for name, value in values.items()}
VALUES, EXPORTED, SOCKET = env.state / "values.json", env.state / "store.yml", env.state / "forwarded.sock"
figures: dict[str, Any] = {}


def user(name: str) -> str:
    return f"setpriv --reuid hf-{name} --regid hf-{name} --init-groups"


def ask_each(host: str, name: str, asked: list[Question]) -> list[tuple[int, Any, float]]:
    """(status, document, when it came) of each, asked by a Unix user at the socket of a host."""
    out = env.ssh(host, f"{user(name)} python3 /usr/local/lib/ask_each.py", stdin=json.dumps(asked).encode())
    return [tuple(answer) for answer in json.loads(out)]


def ask(host: str, name: str, method: str, path: str, body: object = None) -> tuple[int, Any, float]:
    (answer,) = ask_each(host, name, [(method, path, body)])
    return answer


def must(host: str, name: str, method: str, path: str, body: object = None) -> float:
    """When the answer came, which is 200."""
    status, document, at = ask(host, name, method, path, body)
    promise(status == 200, f"hf-{name} may {method} {path} on {host}" if status == 200 else f"{status} {document}")
    return at


def problem(document: Any) -> str:
    return str(document["type"]).rpartition(":")[2]


def equip() -> None:
    """The people, what they ask with, and the service, on every server."""
    people = " ".join(f"hf-{name}" for name in EVERYBODY)
    for host in SERVERS:
        env.ssh(host, f"for u in {people}; do id -u $u >/dev/null 2>&1 || useradd --system --user-group --create-home --shell /bin/sh $u; done")
        for name in ("ask_each.py", "watch.py"):
            env.ssh(host, f"cat > /usr/local/lib/{name}", stdin=(HERE / name).read_bytes())
        env.ssh(host, "cat > /etc/systemd/system/transfer.service; systemctl daemon-reload", stdin=UNIT.encode())
    # Whoever forwards a socket is at its other end the user that he is there.
    env.ssh("s1", "install -d -o hf-alice ~hf-alice/.ssh; install -o hf-alice ~/.ssh/authorized_keys ~hf-alice/.ssh/")


def declared() -> None:
    """The store is what a playbook says: foretold, made, and not made again."""
    VALUES.touch(mode=0o600)
    VALUES.write_text(json.dumps({"store_values": values, "store_host": "sftp.example.com"}))
    given = ("-vvv", "--diff", "-e", f"@{VALUES}")
    foretold = env.must(STORE, "--check", *given)
    promise(env.ask("m1", "GET", "/v1/applications/files")[0] == 404, "--check stores nothing")
    made = env.must(STORE, *given)
    promise(foretold.changed == made.changed > 0, f"--check foretold each of the {made.changed} changes")
    again = env.must(STORE, *given)
    promise(again.changed == 0, "a second run changes nothing")
    other = {"store_values": values | {"alice": f"value-{secrets.token_hex(16)}"}, "store_host": "sftp.example.com"}
    changed = env.state / "other-values.json"
    changed.touch(mode=0o600)
    changed.write_text(json.dumps(other))
    differing = env.must(STORE, "--check", "-vvv", "--diff", "-e", f"@{changed}")
    promise(differing.changed == 1 and "password (changed)" in differing.output, "another password is a change, told by its name")
    figures["store_second_run_changed"] = again.changed


def everybody_asks_everything() -> None:
    """Each act as each role, at both faces; the table in docs/access.md says who is refused."""
    programs = Programs(env, EVERYBODY)
    files = env.must_ask("s1", "GET", "/v1/applications/files")
    value = {"application": "files", "context": "c", "plaintext": "dg=="}
    asked = questions(files, env.must_ask("s1", "POST", "/v1/encrypt", value)["ciphertext"])
    table = allowed()
    promise(asked.keys() == table.keys(), f"there is a question for each of the {len(table)} acts")
    wrong, refused = [], 0
    for name in EVERYBODY:
        at_socket = [(status, document) for status, document, _at in ask_each("s1", name, list(asked.values()))]
        over_tls = programs.ask_each("m2", name, list(asked.values()))
        for face, answers in (("socket", at_socket), ("TLS", over_tls)):
            for act, (status, document) in zip(asked, answers, strict=True):
                was_refused = status == 403 and problem(document) == "forbidden"
                refused += was_refused
                if was_refused is (name in table[act]) or status >= 500:
                    wrong.append(f"{name} at the {face}: {act}: {status}")
    figures.update(acts=len(table), asked=2 * len(EVERYBODY) * len(table), refused=refused, not_as_the_table_says=len(wrong))
    promise(wrong == [], f"everybody was allowed and refused as the table says: {wrong}")


@contextmanager
def forwarded() -> Iterator[None]:
    """The socket of s1 on this machine, as hf-alice."""
    variables = env.variables["s1"]
    command = ["ssh", "-F", "/dev/null", "-i", variables["ansible_ssh_private_key_file"], *shlex.split(variables["ansible_ssh_common_args"])]
    command += ["-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{SOCKET}:/run/ssod/ssod.sock", f"hf-alice@{variables['ansible_host']}"]
    with subprocess.Popen(command) as tunnel:
        try:
            wait_for(SOCKET.is_socket, "the socket is forwarded", 10)
            yield
        finally:
            tunnel.terminate()
            SOCKET.unlink(missing_ok=True)


def every_way_in() -> None:
    """As a user of the applications: ssoctl, a program that is run, a ticket, lookups."""
    (ways := env.state / "digests.json").write_text(json.dumps({"store_digests": digests, "store_host": "sftp.example.com"}))
    with forwarded():
        env.must(str(HERE / "lookups.yml"), "-vvv", "-e", f"@{ways}", "-e", f"sso_lookup_socket={SOCKET}")
    alice = user("alice")
    shown = {
        "ssoctl config get": f"{alice} {SSOCTL} config get files transfer --reveal --json "
        '| python3 -c \'import json, sys; sys.stdout.write(json.load(sys.stdin)["properties"]["password"])\' | sha256sum',
        "ssoctl exec": f"{alice} {SSOCTL} exec files transfer --files -- sh -c 'sha256sum < $CREDENTIALS_DIRECTORY/password'",
    }
    for way, command in shown.items():
        promise(digests["password"] in env.ssh("s1", command), f"{way} gives a user the configuration")
    own = f"{alice} {SSOCTL} credentials get bank --field password | sha256sum"
    promise(digests["alice"] in env.ssh("s1", own), "ssoctl credentials get gives a user his own")
    redeem = f"{user('anna')} {SSOCTL} ticket redeem bank --sender user:hf-alice --field password"
    ticket = f't=$({alice} {SSOCTL} ticket issue bank); printf %s "$t" | {redeem} | sha256sum; printf %s "$t" | {redeem} 2>&1 || true'
    told = env.ssh("m2", ticket)
    promise(digests["alice"] in told and "redeemed" in told, "a ticket is as good as its issuer's credentials, once")


def heard_of() -> None:
    """A program on one server hears of what is written on another, and what is disabled is disabled everywhere."""
    run = "systemd-run --quiet --unit=watcher --uid=hf-alice /opt/ssod/current/bin/python /usr/local/lib/watch.py /var/tmp/heard.jsonl"
    env.ssh("s1", f"install -o hf-alice /dev/null /var/tmp/heard.jsonl && {run}")

    def heard(digest: str) -> float | None:
        lines = map(json.loads, env.ssh("s1", "cat /var/tmp/heard.jsonl").splitlines())
        return next((line["at"] for line in lines if line["digests"]["password"] == digest), None)

    wait_for(lambda: heard(digests["password"]), "the watcher has the value that is there", 15)
    values["changed"] = f"value-{secrets.token_hex(16)}"
    digest = hashlib.sha256(values["changed"].encode()).hexdigest()
    body = {"properties": {"host": "sftp.example.com", "password": values["changed"]}}
    written = must("m1", "anna", "PUT", "/v1/applications/files/config/transfer", body)
    figures["heard_after_seconds"] = round(max(0.0, wait_for(lambda: heard(digest), "the watcher hears of it", 10) - written), 3)
    env.ssh("s1", "systemctl stop watcher")
    must("m1", "anna", "PUT", "/v1/applications/files/config/transfer", {"properties": body["properties"] | {"password": values["password"]}})

    account = {"external_id": "A1", "disabled_by_administrator": True}
    switches = (
        ("sso-disabled", "adam", ("PUT", "/v1/sso", {"enabled": False}), ("PUT", "/v1/sso", {"enabled": True})),
        (
            "mapping-disabled",
            "anna",
            ("PUT", "/v1/applications/bank/mappings/user:hf-alice", account),
            ("PUT", "/v1/applications/bank/mappings/user:hf-alice", account | {"disabled_by_administrator": False}),
        ),
    )
    own: Question = ("GET", "/v1/applications/bank/credentials", None)

    def refused_with(host: str, name: str) -> bool:
        status, document, _at = ask(host, "alice", *own)
        return status == 403 and problem(document) == name

    slowest = 0.0
    for refusal, who, off, on in switches:
        at = must("m1", who, *off)
        for host in ("m2", "s1"):
            wait_for(lambda host=host, refusal=refusal: refused_with(host, refusal), f"{refusal} on {host}", 5)
            slowest = max(slowest, time.time() - at)
        must("m1", who, *on)
        for host in ("m2", "s1"):
            wait_for(lambda host=host: ask(host, "alice", *own)[0] == 200, f"it is given again on {host}", 5)
    figures["disabled_seen_after_seconds"] = round(slowest, 2)


def summed(host: str, verb: str) -> bool:
    """Whether the service of a host read its secret when it was started or restarted just now."""
    env.ssh(host, f"rm -f /run/transfer.sum; systemctl {verb} transfer.service")
    return digests["password"] in env.ssh(host, "cat /run/transfer.sum")


def service() -> None:
    """A unit is given its secret while the master is there, while it has no power, and afterwards."""
    for host in ("m2", "s1"):
        promise(summed(host, "start"), f"the service on {host} starts and reads its secret")
    env.power("off", "m1")
    for host in ("m2", "s1"):
        env.must_ask(host, "POST", "/v1/refresh", {})
        promise(env.must_ask(host, "GET", "/v1/status")["server"]["state"] == "detached", f"{host} has lost the master")
        promise(summed(host, "restart"), f"the service on {host} is restarted without a master, and reads its secret")
    restart_without_the_master(env, reads)
    status, refusal, _at = ask("s1", "alice", "POST", "/v1/encrypt", {"application": "files", "context": "c", "plaintext": "dg=="})
    promise(status == 503 and problem(refusal) == "master-lost", "nothing new is encrypted meanwhile")
    env.power("on", "m1")
    wait_for(lambda: env.must_ask("s1", "POST", "/v1/refresh", {})["server"]["can_encrypt"], "s1 has the master again", 60)
    promise(summed("s1", "restart"), "the service starts again when the master is back")


def reads(host: str) -> bool:
    """Whether a server decrypts for a user."""
    status, document, _at = ask(host, "alice", "GET", "/v1/applications/files/config/transfer?reveal=true")
    return status == 200 and hashlib.sha256(document["properties"]["password"].encode()).hexdigest() == digests["password"]


def database_lost() -> None:
    """What was read before is given on from memory, with its age."""
    own: list[Question] = [("GET", "/v1/applications/files/config/transfer?reveal=true", None), ("GET", "/v1/applications/bank/credentials", None)]
    ask_each("s1", "alice", own)
    env.ssh("db1", "systemctl stop postgresql")
    answers = wait_for(
        lambda: (found := ask_each("s1", "alice", own)) and all(s == 200 and d["cached_at"] for s, d, _at in found) and found,
        "configuration and credentials come from memory, with their age",
        15,
    )
    say(f"  kept: without its database s1 gives what it knew at {answers[0][1]['cached_at']}")
    env.ssh("db1", "systemctl start postgresql")
    began = time.time()
    wait_for(lambda: all(s == 200 and not d["cached_at"] for s, d, _at in ask_each("s1", "alice", own)), "it asks the database again", 15)
    figures["database_back_after_seconds"] = round(time.time() - began, 2)


def moved() -> None:
    """The store leaves as a file, each entry is what its module takes, and it comes back into an empty environment."""
    given = ("-vvv", "--diff", "-e", f"sso_store_file={EXPORTED}")
    env.must("holdfast.sso.export_store", *given)
    kept = EXPORTED.read_bytes()
    promise(env.must("holdfast.sso.export_store", *given).changed == 0, "a second export changes nothing")
    promise(not any(value.encode() in kept for value in values.values()), "there is no value in the file")
    promise(env.must(str(HERE / "entries.yml"), "-vvv", "--diff", "-e", f"@{EXPORTED}").changed == 0, "the modules take each entry back")
    for application in env.must_ask("m1", "GET", "/v1/applications")["applications"]:
        env.must_ask("m1", "DELETE", f"/v1/applications/{application['name']}?with_data=true")
    for role in env.must_ask("m1", "GET", "/v1/roles")["roles"]:
        env.must_ask("m1", "PUT", f"/v1/roles/{role['role']}", {"members": []})
    foretold = env.must("holdfast.sso.import_store", "--check", *given)
    promise(foretold.changed == 1 and env.must_ask("m1", "GET", "/v1/applications")["applications"] == [], "--check imports nothing")
    promise(env.must("holdfast.sso.import_store", *given).changed == 1, "the store comes back into the empty environment")
    promise(env.must("holdfast.sso.import_store", *given).changed == 0, "a second import changes nothing")
    promise(env.ssh_bytes("s1", f"{SSOCTL} export") == kept, "and it is the same to the byte")
    own = f"{user('alice')} {SSOCTL} credentials get bank --field password | sha256sum"
    promise(digests["alice"] in env.ssh("s1", own), "its values are what they were")


with Watch(env) as watch:
    began = time.time()
    equip()
    for host in SERVERS:
        env.ssh(host, "cat > /usr/local/lib/ask.py", stdin=(HERE.parent / "shared" / "ask.py").read_bytes())
    second = env.must("holdfast.sso.site")
    promise(second.changed == 0, "a second site.yml changes nothing")
    declared()
    everybody_asks_everything()
    every_way_in()
    heard_of()
    figures.update(change(env, reads))
    service()
    database_lost()
    moved()
    for host in SERVERS:
        verified = env.ssh(host, f"{SSOCTL} audit verify 2>&1; echo exit $?")
        promise("exit 0" in verified, f"the audit log of {host} is whole" if "exit 0" in verified else verified)

leaked = watch.leaks(secrets_of(env) | {f"the value of {name}": value.encode() for name, value in values.items()} | {"the token's PIN": PIN.encode()})
write_report(
    "store",
    {
        "hosts": {host: env.ssh(host, ". /etc/os-release; printf %s $VERSION_CODENAME") for host in [*SERVERS, "db1"]},
        "figures": figures
        | {
            "site_second_run_changed": second.changed,
            "seconds": round(time.time() - began),
            "leaks": len(leaked),
        },
    },
)
promise(leaked == [], f"no value and no secret is in any output, journal, argv, environment or core file: {leaked}")
promise(figures["heard_after_seconds"] < 1 and figures["disabled_seen_after_seconds"] < 5, "changes were heard of at once")
