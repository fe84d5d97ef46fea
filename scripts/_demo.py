"""Tell the demo: each thing that is done, what it showed, and how long it took. Started by scripts/demo."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "molecule" / "shared"))

from story import Environment, PromiseBroken, Run, wait_for  # noqa: E402  where the scenarios keep it

SPECS: dict[str, list[dict[str, Any]]] = {
    "embedded": [{"name": "sso1", "release": "trixie", "groups": ["sso_servers"]}],
    "standby": [
        {"name": "db1", "release": "trixie", "layers": ["postgresql"], "groups": ["sso_database"]},
        {"name": "m1", "release": "trixie", "groups": ["sso_servers", "sso_master"]},
        {"name": "m2", "release": "trixie", "groups": ["sso_servers", "sso_standbys"]},
        {"name": "s1", "release": "trixie", "groups": ["sso_servers"]},
    ],
    "cluster": [
        *({"name": name, "release": "trixie", "layers": ["postgresql", "pacemaker"], "groups": ["sso_cluster", "sso_database"]} for name in ("c1", "c2", "c3")),
        {"name": "s1", "release": "trixie", "groups": ["sso_servers"]},
    ],
}
SAMPLE = "config get sftp-receive orders-in --reveal"
UNIT = (
    "systemd-run --quiet --wait --pipe --unit orders --property LoadCredential=password:/run/ssod/credentials.sock"
    """ sh -c 'cat "$CREDENTIALS_DIRECTORY/password"'"""
)
TOOK: list[tuple[str, float]] = []


def title(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m", flush=True)


def run(environment: Environment, host: str, command: str, *, succeeds: bool = True) -> str:
    """Run a command on a host as root, and print what it printed."""
    print(f"[{host}]# {command}", flush=True)
    out = environment.ssh(host, f"{{ {command}; }} 2>&1; echo exit $?")
    text, _word, code = out.rstrip().rpartition("exit ")
    print("\n".join(f"    {line}" for line in text.rstrip().splitlines()), flush=True)
    if (int(code) == 0) is not succeeds:
        raise PromiseBroken(f"`{command}` on {host} ended with exit code {code}")
    return text


def show(environment: Environment, host: str, command: str, *, succeeds: bool = True) -> str:
    return run(environment, host, f"ssoctl {command}", succeeds=succeeds)


class Step:
    """Times what is done within, and says so."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> None:
        title(self._text)
        self._started = time.monotonic()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            TOOK.append((self._text, time.monotonic() - self._started))


def boot(name: str, spec: list[dict[str, Any]], *, redfish: bool) -> None:
    subprocess.run(
        [str(PROJECT / "scripts" / "testhosts"), "up", name, "--spec", "/dev/stdin"],
        input=json.dumps({"hosts": spec, "redfish": redfish}), text=True, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def play(environment: Environment, name: str, *arguments: str, tail: int = 0) -> Run:
    """Run a playbook; its tasks go by as they begin, its last lines stay."""
    run = environment.must(name, *arguments)
    if tail:
        print("\n".join(f"    {line}" for line in run.output.rstrip().splitlines()[-tail:]))
    return run


def provision(environment: Environment) -> None:
    with Step("Provision it with playbooks/site.yml"):
        play(environment, "holdfast.sso.site")
    with Step("Store the sample port configuration (samples/sftp-receive-location.yml)"):
        play(environment, str(PROJECT / "samples" / "store_port_configuration.yml"))


def embedded(environment: Environment) -> None:
    provision(environment)
    title("Read it back, decrypted")
    show(environment, "sso1", SAMPLE)
    account(environment)
    title("A systemd service loads the password of the port configuration; no file holds it")
    show(environment, "sso1", "unit-credential set sftp-receive orders.service password orders-in password")
    run(environment, "sso1", UNIT)
    title("Who did what, and that nothing of it was changed or taken out")
    show(environment, "sso1", "audit show --since 10m --subject '*tax-gateway*'")
    show(environment, "sso1", "audit verify")
    title("How it is")
    show(environment, "sso1", "status")


def account(environment: Environment) -> None:
    """A user's own credentials, and a ticket by which a program acts for her."""
    environment.ssh("sso1", "id alice >/dev/null 2>&1 || useradd --system alice")
    with Step("Store an account of alice's (samples/store_account.yml)"):
        play(environment, str(PROJECT / "samples" / "store_account.yml"))
    title("Alice looks it up; who administers it may not")
    run(environment, "sso1", "runuser -u alice -- ssoctl credentials get tax-gateway")
    show(environment, "sso1", "credentials get tax-gateway", succeeds=False)
    title("She hands a ticket to a program, which redeems it and acts for her")
    run(environment, "sso1", "runuser -u alice -- ssoctl ticket issue tax-gateway | ssoctl ticket redeem tax-gateway --sender user:alice")


def standby(environment: Environment) -> None:
    provision(environment)
    title("Read it back, decrypted, on the plain SSO server")
    show(environment, "s1", SAMPLE)
    show(environment, "s1", "status")
    with Step("The master m1 loses its power"):
        environment.power("off", "m1")
        wait_for(lambda: environment.must_ask("s1", "GET", "/v1/status")["server"]["state"] == "detached", "s1 notices", 60)
    title("Decryption goes on")
    show(environment, "s1", SAMPLE)
    title("Encryption is refused, and says what to do")
    show(environment, "s1", "selftest", succeeds=False)
    with Step("Promote the standby m2 (playbooks/promote_master.yml)"):
        play(environment, "holdfast.sso.promote_master", "-e", "sso_new_master=m2", tail=25)
    title("Encryption works again, and the old value still opens")
    show(environment, "s1", "selftest")
    show(environment, "s1", SAMPLE)
    show(environment, "s1", "status")


def cluster(environment: Environment) -> None:
    provision(environment)
    title("How it is")
    show(environment, "s1", "status")
    master = environment.must_ask("s1", "GET", "/v1/status")["server"]["master"]
    other = next(host for host in ("c1", "c2", "c3") if host != master)
    print(environment.ssh(other, "crm_mon --one-shot"))

    def encrypts() -> bool:
        return environment.ask("s1", "POST", "/v1/selftest", {})[0] == 200 and environment.must_ask("s1", "GET", "/v1/status")["server"]["master"] != master

    with Step(f"{master}, the master and the database's primary, loses its power; nobody does anything"):
        environment.power("off", master)
        wait_for(encrypts, "another member is the master, and s1 encrypts again", 60)
    title("Encryption works again, and the old value still opens")
    show(environment, "s1", "selftest")
    show(environment, "s1", SAMPLE)
    show(environment, "s1", "status")
    print(environment.ssh(other, "crm_mon --one-shot"))


def main() -> None:
    kind = sys.argv[1]
    name, spec = f"demo-{kind}", SPECS[kind]
    started = time.monotonic()
    with Step(f"Boot the test hosts {', '.join(host['name'] for host in spec)}"):
        boot(name, spec, redfish=kind == "cluster")
    environment = Environment(name, PROJECT / "inventories" / kind / "groups.yml", say_tasks=True)
    for host in spec:
        environment.ssh(host["name"], "install -d /usr/local/lib")
        environment.ssh(host["name"], "cat > /usr/local/lib/ask.py", stdin=(PROJECT / "molecule/shared/ask.py").read_bytes())
    {"embedded": embedded, "standby": standby, "cluster": cluster}[kind](environment)
    title("What each step took")
    for text, seconds in TOOK:
        print(f"    {seconds:6.1f} s  {text}")
    print(f"    {time.monotonic() - started:6.1f} s  in all")
    last = spec[-1]["name"]
    title("Look around")
    print(f"    scripts/testhosts shell {name} {last}            a shell; try `ssoctl status`, `journalctl -u ssod`")
    print("    scripts/testhosts list                       the hosts; off, on, cut and join one as you like")
    print("    scripts/demo remove                          take everything away again")


if __name__ == "__main__":
    try:
        main()
    except PromiseBroken as broken:
        sys.exit(f"error: {broken}")
    except KeyboardInterrupt:
        sys.exit("interrupted; `scripts/demo remove` takes away what was made, and running the demo again goes on from here")
