"""Event-driven promotion: ansible-rulebook hears Alertmanager on the control node, and has the collection's playbook answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from story import Environment, PromiseBroken, promise, wait_for

RULEBOOK = "holdfast.sso.promote_lost_master"
LISTENER = "control"
PORT = 5005


class Listener:
    """The control node as a host of group sso_event_listener: its certificate, and the rulebook that it runs."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.directory = env.state / "control" / "events"
        self.asked = env.state / "asked.txt"
        self._log = env.state / "rulebook.log"
        self.address = self._own_address(env.variables["db1"]["ansible_host"])
        inventory = env.state / "listener.yml"
        host = {
            "ansible_host": self.address,
            "ansible_ssh_private_key_file": env.variables["db1"]["ansible_ssh_private_key_file"],  # by which it knows its environment
            "sso_event_directory": str(self.directory),
        }
        # Every server's own hook tells it too, so that it hears everything twice and more.
        hook = {"sso_event_webhook": f"https://{self.address}:{PORT}/hook", "sso_event_webhook_ca": "/etc/ssod/tls/ca.pem"}
        listed = {"sso_event_listener": {"hosts": {LISTENER: host}}, "sso_servers": {"vars": hook}}
        inventory.write_text(json.dumps(listed), encoding="utf-8")
        env.inventories.append(inventory)

    @staticmethod
    def _own_address(of_host: str) -> str:
        """This machine's address on the hosts' bridge."""
        (route,) = json.loads(subprocess.run(["ip", "-json", "route", "get", of_host], check=True, capture_output=True).stdout)
        return str(route["prefsrc"])

    def prepare(self, mode: str, grace: int) -> None:
        """What a person runs once: the certificate and the variables. And the inventory as one directory, which the rulebook takes."""
        told = {"sso_event_mode": mode, "sso_event_grace": grace, "sso_event_notify": ["tee", "--append", str(self.asked)]}
        words = ["-e", json.dumps(told)]
        self._env.must("holdfast.sso.event_listener", *words)
        promise(self._env.must("holdfast.sso.event_listener", *words).changed == 0, "a second run of event_listener changes nothing")
        inventory = self._env.state / "inventory-of-the-listener"
        inventory.mkdir(exist_ok=True)
        self._env.tool("ansible-inventory", "--list", "--yaml", "--output", str(inventory / "hosts.yml"))

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """While the rulebook runs."""
        command = ["--rulebook", RULEBOOK, "--inventory", str(self._env.state / "inventory-of-the-listener")]
        command += ["--vars", str(self.directory / "variables.yml"), "--print-events"]
        with self._log.open("w", encoding="utf-8") as out:
            process = self._env.start_tool("ansible-rulebook", *command, out=out)
        try:
            wait_for(lambda: self.tell({"nothing": True}) == 0 or process.poll() is not None, "the rulebook hears", 60)
            if process.poll() is not None:
                raise PromiseBroken(f"ansible-rulebook ended: {self._log.read_text(encoding='utf-8')}")
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def tell(self, message: dict[str, Any], *, certificate: bool = True) -> int:
        """Post a message to the listener; curl's exit code."""
        tls = self.directory / "tls"
        mine = ["--cert", str(tls / "server.pem"), "--key", str(tls / "server.key")] if certificate else []
        command = ["curl", "--silent", "--fail", "--cacert", str(tls / "ca.pem"), *mine, "--json", json.dumps(message)]
        return subprocess.run([*command, f"https://{self.address}:{PORT}/alerts"], check=False, capture_output=True).returncode

    def alert(self) -> dict[str, Any]:
        """What Alertmanager sends, of what the rulebook reads."""
        labels = {"alertname": "SsoMasterLost", "environment": self.variables()["sso_environment"]}
        return {"status": "firing", "commonLabels": labels, "groupKey": "by hand"}

    def variables(self) -> dict[str, Any]:
        known: dict[str, Any] = yaml.safe_load((self.directory / "variables.yml").read_text(encoding="utf-8"))
        return known

    def words(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def answered(self) -> int:
        """How many answers it has come to the end of."""
        return self.words().count("PLAY RECAP")

    def open_promotions(self) -> list[Path]:
        return sorted(self.directory.glob("open-*.txt"))


def refuses_clusters(env: Environment) -> None:
    for playbook in ("holdfast.sso.event_listener", "holdfast.sso.answer_lost_master"):
        refused = env.playbook(playbook, "-e", "sso_topology=cluster", "-e", "sso_event_mode=promote")
        promise(refused.code != 0 and "replaces a lost" in refused.output, f"{playbook} is refused in a cluster topology")
