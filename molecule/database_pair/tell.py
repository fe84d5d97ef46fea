"""The master as a resource of a PostgreSQL cluster of two members and a quorum device: what each does when the other is lost."""

from __future__ import annotations

import time

from failover import POSTMASTER, Failover
from leaks import Watch
from runbooks import Runbooks
from story import APPLICATION, PROJECT, Environment, PromiseBroken, promise, say, wait_for

MEMBERS = ["c1", "c2"]
UNITS = "corosync corosync-qdevice pacemaker"
AWAY = 10.0  # seconds that a member alone is watched for not being promoted


class Pair(Failover):
    """It is settled when each may be lost."""

    written: list[str]  # what was acknowledged while something was lost; each is looked for when everything is there again

    def _unsettled(self) -> str:
        return super()._unsettled() or next((f"{host} is {word}" for host in MEMBERS if (word := self.word(host)) != "yes"), "")

    def word(self, host: str) -> str:
        """What the cluster knows of a member's copy."""
        said = self.env.ssh(host, f"attrd_updater --private --name sso-database-current --query --node {host}", check=False)
        return said.rpartition('value="')[2].partition('"')[0]

    def lose(self, host: str) -> None:
        """The host loses its power. Its fence switches it on again, and it does not come back to the cluster: as good as off."""
        self.env.ssh(host, f"systemctl disable --quiet {UNITS} && sync")
        self.power("off", host)

    def rejoin(self, host: str) -> None:
        wait_for(lambda: self.env.ssh(host, "echo up", check=False) != "", f"{host} is on again", 90)
        self.env.ssh(host, f"systemctl enable --quiet --now {UNITS}")

    def write(self) -> float:
        """Seconds from the last fault until something new that s1 writes to the database is acknowledged."""
        name = f"written-{len(self.written)}"
        path = f"/v1/applications/{APPLICATION}/config/{name}"
        wait_for(lambda: self.env.ask("s1", "PUT", path, {"properties": {"password": name}}, user="probe")[0] == 200, "s1 writes", 60)
        self.written.append(name)
        return round(time.time() - self.struck, 1)

    def look_for_written(self) -> None:
        paths = {name: f"/v1/applications/{APPLICATION}/config/{name}" for name in self.written}
        missing = [name for name, path in paths.items() if self.env.ask("s1", "GET", path, user="probe")[0] != 200]
        promise(self.written and not missing, f"all {len(self.written)} that were written meanwhile are there {missing}")

    def is_primary(self, host: str) -> bool:
        query = "runuser -u postgres -- psql -XAtc 'SELECT pg_is_in_recovery()'"
        return self.env.ssh(host, query, check=False).strip() == "f"

    # --- the faults

    def standby_lost(self) -> None:
        """Writes go on without it; PostgreSQL of the primary is killed meanwhile, and comes back alone."""

        def break_it(old: str, other: str) -> list[str]:
            self.lose(other)
            seconds = self.write()
            promise(self.word(old) == "alone" and seconds < 15, f"{old} acknowledges by itself {seconds} s after {other} was lost")
            self.env.ssh(old, f"kill -9 {POSTMASTER}")
            began = time.time()
            wait_for(lambda: not self.is_primary(old), "PostgreSQL is gone", 10)
            wait_for(lambda: self.is_primary(old), "it is the primary again", 60)
            promise(self.word(old) == "alone", f"killed, it came back alone after {time.time() - began:.1f} s")
            self.write()
            self.rejoin(other)
            return [other]

        self.fault("standby lost, then PostgreSQL killed", break_it, takes_down=False)
        self.look_for_written()

    def both_lost_in_turn(self) -> None:
        """The standby is lost, and what is written then is on the primary alone when that is lost: the standby must not act as primary."""

        def break_it(old: str, other: str) -> list[str]:
            self.lose(other)
            for _number in range(3):
                self.write()
            self.lose(old)
            self.rejoin(other)
            wait_for(lambda: "this member was away" in self.env.ssh(other, "crm_mon --one-shot", check=False), "crm_mon says why", 90)
            until = time.time() + AWAY
            while time.time() < until:
                promise_quietly(not self.is_primary(other), f"{other}, which lacks acknowledged writes, is no primary")
                time.sleep(1)  # between two looks
            say(f"  kept: {other}, which lacks acknowledged writes, is not promoted, and crm_mon says why")
            self.rejoin(old)
            wait_for(lambda: self.is_primary(old), f"{old} is the primary again", 90)
            return [old, other]

        self.fault("standby lost, then the primary", break_it, takes_down=True)
        self.look_for_written()


def promise_quietly(kept: bool, text: str) -> None:
    if not kept:
        raise PromiseBroken(text)


env = Environment("mol-database_pair", PROJECT / "inventories" / "cluster" / "groups.yml")
story = Pair(env, MEMBERS, [*MEMBERS, "s1"], with_database=True)
story.written = []

with Watch(env) as watch:
    second = env.must("holdfast.sso.site")
    promise(second.changed == 0, "a second site.yml changes nothing")
    story.settle()

story.probes.start()
for fault in (story.power_off, story.standby_lost, story.both_lost_in_turn, story.moved, story.both_rebooted):
    fault()
story.probes.stop()
book = Runbooks(env, "database_pair")
standby = next(host for host in MEMBERS if host != story.master())
# The faults may have started it as often as systemd lets it.
env.ssh(standby, "systemctl reset-failed sso-database-clone 2>/dev/null", check=False)
for _block in range(3):
    book.run("cluster-two-members", standby)
book.end()
story.settle()
story.end("database_pair", watch, second)
