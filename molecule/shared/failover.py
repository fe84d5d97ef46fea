"""The faults of a Pacemaker cluster that runs the master, and what the probes see of each.

Both cluster scenarios tell their story with it. Each fault begins with a settled environment and ends with one; nothing is mended
by hand but what the fault itself took away (space on a disk, a PostgreSQL that nobody else starts).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from faults import blackhole, fill_disk, free_disk, heal, signal_ssod
from leaks import Watch, secrets_of
from story import TESTHOSTS, Environment, Probes, PromiseBroken, Run, Seen, acknowledged_lost, promise, say, wait_for, write_report

RUNS = int(os.environ.get("HOLDFAST_FAULT_RUNS", "1"))
SETTLE = 180.0
POSTMASTER = "$(head -n 1 /var/lib/postgresql/*/main/postmaster.pid)"


class Failover:
    """An environment whose master a cluster decides about. `members` and `servers` (all SSO servers) are names of hosts."""

    def __init__(self, env: Environment, members: list[str], servers: list[str], *, with_database: bool) -> None:
        self.env = env
        self.members = members
        self.servers = servers
        self.with_database = with_database
        self.probes = Probes(env, servers)
        self.faults: dict[str, list[dict[str, Any]]] = {}
        self.decrypts = 0
        self.struck = 0.0
        for host in servers:
            self.probes.equip(host)

    # --- how things are

    def server(self, host: str) -> Any:
        return self.env.must_ask(host, "GET", "/v1/status")["server"]

    def master(self) -> str:
        return str(self.server(self.servers[-1])["master"])

    def cluster(self, at: str) -> ElementTree.Element:
        """What Pacemaker says of itself on one member."""
        return ElementTree.fromstring(self.env.ssh(at, "crm_mon --one-shot --output-as=xml"))  # noqa: S314  our own host's

    def _unsettled(self) -> str:
        """Why this is no settled environment; empty when it is one."""
        try:
            states = {host: self.server(host) for host in self.servers}
            cluster = self.cluster(self.members[0])
        except (PromiseBroken, ElementTree.ParseError) as error:
            return str(error)[:200]
        for host, state in states.items():
            if not state["can_encrypt"]:
                return f"{host}: {state['sentence']}"
            if host in self.members and state["unfit"]:
                return f"{host}: {state['unfit']}"
        if len({(state["master"], state["epoch"]) for state in states.values()}) != 1:
            return "they follow different masters"
        online = {node.get("name") for node in cluster.iterfind("./nodes/node") if node.get("online") == "true" and node.get("unclean") == "false"}
        if online != set(self.members):
            return f"online: {online}"
        for clone in cluster.iterfind("./resources/clone"):
            roles = sorted(str(resource.get("role")) for resource in clone.iterfind("resource") if resource.get("failed") == "false")
            if roles != sorted(["Promoted"] + ["Unpromoted"] * (len(self.members) - 1)):
                return f"{clone.get('id')}: {roles}"
        for resource in cluster.iterfind("./resources/resource"):
            if resource.get("role") != "Started":
                return f"{resource.get('id')}: {resource.get('role')}"
        if self.with_database:
            if (primary := self.promoted("sso-database-clone", cluster)) != states[self.servers[-1]]["master"]:
                return f"the primary is on {primary}, the master on {states[self.servers[-1]]['master']}"
            query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
            streaming = self.env.ssh(str(primary), f"runuser -u postgres -- psql -XAtc \"{query}\"", check=False).strip()
            if streaming != str(len(self.members) - 1):
                return f"{streaming} standbys stream"
        return ""

    @staticmethod
    def promoted(clone: str, cluster: ElementTree.Element) -> str | None:
        """The member on which a clone is promoted."""
        node = cluster.find(f"./resources/clone[@id='{clone}']/resource[@role='Promoted']/node")
        return node.get("name") if node is not None else None

    def settle(self) -> None:
        """Wait until everything is as it was before a fault."""
        why = ""

        def settled() -> bool:
            nonlocal why
            why = self._unsettled()
            return not why

        try:
            wait_for(settled, "the environment is settled", SETTLE)
        except PromiseBroken:
            sys_out = self.env.ssh(self.members[-1], "crm_mon --one-shot --inactive --failcounts 2>&1", check=False)
            raise PromiseBroken(f"not settled within {SETTLE:.0f} s: {why}\n{sys_out}") from None

    # --- what is done to it

    def fault(self, name: str, break_it: Callable[[str, str], list[str] | None], mend: Callable[[str, str], None] | None = None, *, takes_down: bool) -> None:
        """One fault of the active host (`break_it(active, other)`), and what the probes saw until all was settled again.

        `takes_down`: the fault ends the daemon of the host, or of the hosts that break_it returns; their decrypts do not count.
        """
        self.settle()
        old = self.master()
        other = self.members[(self.members.index(old) + 1) % len(self.members)]
        epoch = self.server(old)["epoch"]
        say(f"fault: {name} ({old})")
        mark = self.probes.mark()
        began = time.time()
        self.struck = began
        hit = break_it(old, other) or ([old] if takes_down else [])
        if mend is not None:
            mend(old, other)
        for host in hit:
            self._return(host)
        self.settle()
        settled = time.time() - began
        seen = Seen({host: self.probes.lines(host, began, mark) for host in self.servers})
        # To say it to a machine takes a second; a host that lost its power answered until then, 20 times a second.
        began = max((line["answered"] for line in seen.lines[old] if line["answered"] <= self.struck), default=began)
        survivors = [host for host in self.servers if host not in hit]
        failed = [line for line in seen.failed("decrypt") if line["host"] in survivors]
        new = self.master()
        silent = [host for host in survivors if len(seen.lines[host]) < settled]
        promise(not silent, f"every surviving server was asked all the time, at least once a second {silent}")
        run = {
            "encrypts_again_seconds": round(max(seen.encrypts_again(host, began) for host in survivors), 2),
            "longest_pause_seconds": round(max(seen.longest_pause(host, began) for host in survivors), 2),
            "failed_decrypts": len(failed),
            "acknowledged_lost": acknowledged_lost(self.env, seen, survivors[-1]),
            "masters_at_once": seen.masters_at_once(),
            "moved": f"{old} to {new}" if new != old else "no",
            "epochs": self.server(new)["epoch"] - epoch,
            "settled_after_seconds": round(settled, 1),
        } | self._shares(seen, began, old, new)
        seen.epochs()
        self.decrypts += seen.count("decrypt")
        self.faults.setdefault(name, []).append(run)
        say(f"  {run}")
        promise(not failed, f"not one decrypt failed on {', '.join(survivors)} {failed[:3]}")
        promise(run["acknowledged_lost"] == 0, "nothing that was acknowledged is lost")
        promise(run["masters_at_once"] <= 1, "there were never two masters")
        self._forgive()

    def _shares(self, seen: Seen, began: float, old: str, new: str) -> dict[str, float]:
        """Of a lost host: when its power was cut, and when its successor began, in seconds from the fault."""
        # A host that is off already is only switched on by its fence.
        cut = [at for at, system, _action in self._fenced() if at >= began and system == old]
        if not cut or new == old:
            return {}
        return {"fenced_seconds": round(cut[0] - began, 2), "new_master_seconds": round(seen.first_claim(new, began) - began, 2)}

    def _fenced(self) -> list[tuple[float, str, str]]:
        log = self.env.state / "redfish.log"
        rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []
        return [(datetime.fromisoformat(row["at"]).timestamp(), row["system"], row["action"]) for row in rows]

    def _return(self, host: str) -> None:
        """A host that was taken down is on again, by its fence or by hand, and its probe runs."""
        wait_for(lambda: self._state(host) == "on", f"{host} is on again", 90)
        wait_for(lambda: self.env.ssh(host, "systemctl is-active ssod", check=False).strip() == "active", f"ssod of {host} is up", 90)
        if self.env.ssh(host, "systemctl is-active probe", check=False).strip() != "active":
            self.probes.run(host)

    def _state(self, host: str) -> str:
        listed = json.loads(subprocess.run([TESTHOSTS, "list", "--json"], check=True, capture_output=True, text=True).stdout)
        return str(next(row["state"] for row in listed if (row["environment"], row["host"]) == (self.env.name, host)))

    def _forgive(self) -> None:
        """What a fault left in the cluster's memory is no part of the next one."""
        cluster = self.cluster(self.members[0])
        if cluster.find("./failures/failure") is not None or cluster.find("./node_history//resource_history[@fail-count]") is not None:
            self.env.ssh(self.members[0], "crm_resource --cleanup 2>&1")

    # --- the faults

    def killed(self) -> None:
        self.fault("ssod killed", lambda old, _: signal_ssod(self.env, old, "KILL"), takes_down=True)

    def frozen(self) -> None:
        self.fault("ssod frozen", lambda old, _: signal_ssod(self.env, old, "STOP"), takes_down=True)

    def power_off(self) -> None:
        self.fault("power-off", lambda old, _: self.power("off", old), takes_down=True)

    def cut_off(self) -> None:
        self.fault("network cut", lambda old, _: self.power("cut", old), self._await_fence, takes_down=True)

    def split(self) -> None:
        """The active host and the other members see each other no more; clients, fences and the quorum device see all of them."""

        def break_it(old: str, _other: str) -> list[str]:
            blackhole(self.env, old, self._others(old))
            began = time.time()
            return [wait_for(lambda: self._fenced_since(began - 1), "one side is fenced", 60)]

        if not self.with_database and self.master() == self.members[0]:
            # Of two halves the quorum device keeps the one with the first member: the active host is to be the other.
            self.env.must("holdfast.sso.promote_master", "-e", f"sso_new_master={self.members[-1]}")
        self.fault("split brain", break_it, self._heal, takes_down=True)

    def both_rebooted(self) -> None:
        def break_it(old: str, other: str) -> list[str]:
            for host in (old, other):
                self.env.power("off", host)
            for host in (old, other):
                subprocess.run([TESTHOSTS, "on", self.env.name, host, "--no-wait"], check=True, capture_output=True)
            return [old, other]

        self.fault("both rebooted", break_it, takes_down=True)

    def moved(self) -> None:
        def break_it(_old: str, other: str) -> list[str]:
            run = self.env.must("holdfast.sso.promote_master", "-e", f"sso_new_master={other}")
            promise("the cluster moved" in run.output, "promote_master.yml moves the role through the cluster, and says so")
            return []

        self.fault("graceful move", break_it, takes_down=False)

    def disk_full(self) -> None:
        """Every byte of the active host's disk is taken; another member becomes the master, and it comes back when there is space."""

        def break_it(old: str, _other: str) -> list[str]:
            fill_disk(self.env, old)
            wait_for(lambda: self._master_seen() not in {old, ""}, "another member is the master", 60)
            return [old] if self.with_database else []

        def mend(old: str, _other: str) -> None:
            free_disk(self.env, old)
            self.env.ssh(old, "crm_resource --cleanup 2>&1", check=False)

        self.fault("disk full", break_it, mend, takes_down=False)

    def database_killed(self, host: Callable[[], str], mend: Callable[[str, str], None] | None = None) -> None:
        self.fault("PostgreSQL killed", lambda *_: self.env.ssh(host(), f"kill -9 {POSTMASTER}") and None, mend, takes_down=False)

    # --- with these

    def power(self, verb: str, host: str) -> None:
        self.env.power(verb, host)
        self.struck = time.time()

    def _master_seen(self) -> str:
        try:
            return self.master()
        except PromiseBroken:
            return ""

    def _fenced_since(self, began: float) -> str:
        return next((system for at, system, action in self._fenced() if at >= began and action == "ForceOff"), "")

    def _await_fence(self, old: str, _other: str) -> None:
        began = time.time() - 60
        wait_for(lambda: self._fenced_since(began) == old, f"{old} is fenced", 60)

    def _others(self, host: str) -> list[str]:
        return [name for name in self.members if name != host]

    def _heal(self, old: str, _other: str) -> None:
        heal(self.env, old, self._others(old))

    # --- and reported

    def report(self) -> dict[str, Any]:
        """Median and worst of each fault, over its runs."""
        figures: dict[str, Any] = {"fault_runs_each": RUNS, "decrypts": self.decrypts}
        for name, runs in self.faults.items():
            # A move that somebody asked for begins when its playbook comes to it: what counts is how long encryption paused.
            again = [run["longest_pause_seconds" if name == "graceful move" else "encrypts_again_seconds"] for run in runs]
            figures[f"{name}: encrypts again, median"] = round(statistics.median(again), 2)
            figures[f"{name}: encrypts again, worst"] = max(again)
        every = [run for runs in self.faults.values() for run in runs]
        for figure in ("failed_decrypts", "acknowledged_lost"):
            figures[figure] = sum(run[figure] for run in every)
        figures["masters_at_once"] = max(run["masters_at_once"] for run in every)
        return figures

    def tell(self, database_killed: Callable[[], None], *more: Callable[[], None]) -> None:
        """Every fault, as often as HOLDFAST_FAULT_RUNS says, with the probes running."""
        lost = (self.power_off, self.cut_off, self.split, self.both_rebooted)
        faults = (self.killed, self.frozen, database_killed, self.moved, self.disk_full, *lost, *more)
        self.probes.start()
        for number, fault in enumerate(faults * RUNS):
            say(f"{number + 1} of {RUNS * len(faults)}")
            fault()
        self.probes.stop()

    def end(self, scenario: str, watch: Watch, second: Run) -> None:
        """The report, and the promise that no secret was seen anywhere."""
        leaked = watch.leaks(secrets_of(self.env))
        figures = self.report() | {"site_second_run_changed": second.changed, "leaks": len(leaked)}
        faults = [{"fault": name, "runs": runs} for name, runs in self.faults.items()]
        write_report(scenario, {"figures": figures, "faults": faults})
        promise(leaked == [], f"no secret is in any output, journal, argv, environment or core file: {leaked}")
