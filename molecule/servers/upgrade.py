"""The environment is upgraded to the next release and back, server by server, while probes ask; a release that would break it is refused."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import releases
from story import Environment, Probes, Run, Seen, acknowledged_lost, promise, say

SITE = "holdfast.sso.site"
MARGIN = 0.2  # seconds from systemd's word that a unit stops or runs to what a caller sees of it


class Upgrade:
    """The servers are given in the order in which they are restarted: standbys, plain ones, the master."""

    def __init__(self, env: Environment, probes: Probes, servers: list[str]) -> None:
        self._env = env
        self._probes = probes
        self._servers = servers
        # Of each host, when ssod was down, by the clock of the probes.
        self._down: dict[str, list[tuple[float, float]]] = {host: [] for host in servers}

    def tell(self) -> dict[str, Any]:
        """Tell it, and return its figures."""
        env, began, master = self._env, time.time(), self._servers[-1]
        with tempfile.TemporaryDirectory() as directory:
            this = releases.this()
            later = this.next(Path(directory, "later"))
            latest = later.next(Path(directory, "latest"), tolerates_this=False)

            say(f"{this.version} is upgraded to {later.version}, with one migration more")
            forward = self._site(later)
            promise(self._revision() == later.revision, f"the SSO database has schema {later.revision}")

            say("one step back")
            back = self._site(this)
            promise(self._revision() == later.revision, "the SSO database stays as it is")
            installed = {host: set(env.ssh(host, "ls /opt/ssod").split()) for host in self._servers}
            wanted = {this.version, later.version, "current", "previous"}
            promise(all(each == wanted for each in installed.values()), "the version that was left stays installed, for the way forward")

            say(f"{latest.version}, on whose schema the servers that run would not work")
            before = self._state()
            with env.playbooks_of(latest.collections):
                refused = env.playbook(SITE)
            words = " ".join(refused.output.split())
            promise(refused.code != 0 and f"ssod {latest.version} was made current on no host" in words, "it is refused")
            promise("stop ssod everywhere and use --stopped" in words, "with what to do instead")
            promise(self._state() == before, "and nothing that runs has changed, nor the schema")

        seen = Seen({host: self._probes.lines(host, after=began) for host in self._servers})
        failed = [line for line in seen.failed("decrypt") if not self._is_down(line)]
        promise(failed == [], f"of {seen.count('decrypt')} decrypts none failed but where ssod was just restarted: {failed[:3]}")
        lost = acknowledged_lost(env, seen, self._servers[1])
        promise(lost == 0, "nothing that was acknowledged is lost")
        refused_encrypts = [line for line in seen.failed("encrypt") if not self._is_down(line)]
        return {
            "upgrade_seconds": round(forward.seconds, 1),
            "step_back_seconds": round(back.seconds, 1),
            "refusal_seconds": round(refused.seconds, 1),
            "upgrade_decrypts": seen.count("decrypt"),
            "upgrade_failed_decrypts_elsewhere": len(failed),
            "upgrade_acknowledged_lost": lost,
            "upgrade_longest_restart_seconds": round(max(end - start for spans in self._down.values() for start, end in spans), 2),
            "upgrade_refused_encrypts_elsewhere": len(refused_encrypts),
            "upgrade_longest_pause_of_encryption_seconds": round(max(seen.longest_pause(host, began) for host in self._servers if host != master), 2),
        }

    def _site(self, release: releases.Release) -> Run:
        """Run the release's site.yml, and see that every server runs it, restarted once and in order."""
        env = self._env
        with env.playbooks_of(release.collections):
            run = env.must(SITE)
        status = {host: env.must_ask(host, "GET", "/v1/status")["server"] for host in self._servers}
        promise(all(each["version"] == release.version for each in status.values()), f"every server runs {release.version}")
        promise(all(each["can_encrypt"] for each in status.values()), "every server is attached and encrypts")
        spans = [self._span(host) for host in self._servers]
        ordered = all(earlier[1] < later[0] for earlier, later in zip(spans, spans[1:], strict=False))
        promise(ordered and spans[0][0] > run.started, "standby, plain server, master: each ran again before the next was stopped")
        for host, span in zip(self._servers, spans, strict=True):
            self._down[host].append(span)
        return run

    def _span(self, host: str) -> tuple[float, float]:
        """When ssod was last stopped and ran again. Test hosts share the clocks of this machine."""
        shown = self._env.ssh(host, "systemctl show ssod -p ActiveExitTimestampMonotonic -p ActiveEnterTimestampMonotonic")
        micros = dict(line.split("=") for line in shown.split())
        offset = time.time() - time.monotonic()
        return (
            int(micros["ActiveExitTimestampMonotonic"]) / 1e6 + offset,
            int(micros["ActiveEnterTimestampMonotonic"]) / 1e6 + offset,
        )

    def _is_down(self, line: dict[str, Any]) -> bool:
        """Whether it was asked of an ssod that was just being restarted: until systemd calls it ready it answers, but has no keyring."""
        spans = self._down[line["host"]]
        return any(line["asked"] <= end + MARGIN and line["answered"] >= start - MARGIN for start, end in spans)

    def _revision(self) -> str:
        database = self._env.groups["sso_database"]["hosts"][0]
        return self._env.ssh(database, "runuser -u postgres -- psql -At sso -c 'SELECT version_num FROM alembic_version'").strip()

    def _state(self) -> tuple[str, list[tuple[str, str]]]:
        """What a refused upgrade must leave: the schema, and of each host what is current and which process runs."""
        looked = "readlink /opt/ssod/current; systemctl show ssod -p MainPID --value; cat /etc/ssod/ssod.toml /etc/systemd/system/ssod.service"
        return self._revision(), [(host, self._env.ssh(host, looked)) for host in self._servers]
