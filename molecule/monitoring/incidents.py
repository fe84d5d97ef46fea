"""Each runbook's condition is brought about, its commands are run, and the condition is gone.

An alert's condition is its own expression, which Prometheus is asked to evaluate: how long each waits before it fires has its tests elsewhere.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from faults import blackhole, fill_disk, free_disk, heal, issue_again, signal_ssod
from runbooks import Runbooks
from story import TESTHOSTS, Environment, Probes, PromiseBroken, promise, say, wait_for, write_report

Ask = Callable[[str], Any]
SERVERS = ["m1", "m2"]
DATABASE = "db1"
PROMETHEUS = "http://127.0.0.1:9090/api/v1"
SEALED = "/var/lib/ssod/keyring.sealed"
PSQL = "runuser -u postgres -- psql -XqAt -d sso"
DUMP = "/var/tmp/sso.dump"  # noqa: S108  on a test host of our own


class Incidents:
    """An environment of a master, a standby and a database that is watched by Prometheus."""

    def __init__(self, env: Environment, ask: Ask) -> None:
        self.env = env
        self._ask = ask
        self.book = Runbooks(env, "monitoring")
        self._probes = Probes(env, SERVERS)
        for host in SERVERS:
            if self._is_on(host):
                self._probes.equip(host)
        self.rules = {rule["name"]: rule["query"] for group in ask(f"{PROMETHEUS}/rules")["data"]["groups"] for rule in group["rules"]}

    # --- how things are

    def server(self, host: str) -> Any:
        return self.env.must_ask(host, "GET", "/v1/status")["server"]

    def _unwell(self) -> str:
        """Why not all is well; empty when it is."""
        try:
            states = {host: self.server(host) for host in SERVERS}
        except (PromiseBroken, ValueError) as error:
            return str(error)[:200]
        for host, state in states.items():
            if not state["can_encrypt"] or state["unfit"] or state["sealed_key_id"] != state["key_id"]:
                return f"{host}: {state['sentence']} {state['unfit']}"
        return "" if len({(state["master"], state["epoch"]) for state in states.values()}) == 1 else "they follow different masters"

    def well(self) -> None:
        try:
            wait_for(lambda: not self._unwell(), "all is well", 90)
        except PromiseBroken:
            raise PromiseBroken(f"not well: {self._unwell()}") from None

    def roles(self) -> tuple[str, str]:
        """The master and its standby, when all is well."""
        self.well()
        master = str(self.server(SERVERS[0])["master"])
        return master, next(host for host in SERVERS if host != master)

    def told_of(self, alert: str) -> bool:
        """Whether the expression of an alert is true now."""
        return bool(self._ask(f"{PROMETHEUS}/query?query={quote(self.rules[alert])}")["data"]["result"])

    def begins(self, alert: str) -> None:
        wait_for(lambda: self.told_of(alert), f"{alert} is true", 60)

    def ends(self, alert: str) -> None:
        wait_for(lambda: not self.told_of(alert), f"{alert} is not true any more", 60)
        self.well()

    def refuses(self, host: str) -> bool:
        return self.env.ask(host, "POST", "/v1/selftest", {})[0] == 503

    def _is_on(self, host: str) -> bool:
        return bool(self.env.ssh(host, "echo up", check=False))

    def on(self, host: str) -> None:
        if not self._is_on(host):
            self.env.power("on", host)
            self._probes.equip(host)
        wait_for(lambda: self.env.ssh(host, "systemctl is-active ssod", check=False).strip() == "active", f"ssod of {host} is up", 60)

    # --- the incidents: each begins and ends with all well

    def old_master_returns(self) -> None:
        """First: the story before may have left a host that is off."""
        if not self._unwell():
            master, standby = self.roles()
            self.env.power("off", master)
            self.env.must("holdfast.sso.promote_master", "-e", f"sso_new_master={standby}")
        off = [host for host in SERVERS if not self._is_on(host)]
        promise(len(off) == 1, f"the old master is off: {off or self._unwell()}")
        (old,) = off
        self.on(old)
        wait_for(lambda: self.server(old)["mastership"] == "passive" and self.server(old)["state"] == "attached", f"{old} is a standby", 60)
        self.book.run("old-master-returns", old)
        self.well()

    def master_lost(self) -> None:
        old, new = self.roles()
        self.env.power("off", old)
        self.begins("SsoMasterLost")
        self.book.run("master-lost", new, HOST=new)
        self.on(old)
        self.ends("SsoMasterLost")

    def master_cut_off(self) -> None:
        old, new = self.roles()
        self.env.power("cut", old)
        wait_for(lambda: self.refuses(new), f"{new} misses the master", 90)
        self.book.run("master-cut-off", new, HOST=new)
        promise(self.server(new)["mastership"] == "active", f"{new} is the master")
        self.env.power("join", old)
        self.well()

    def sealed_copy_missing(self) -> None:
        master, standby = self.roles()
        self.env.ssh(standby, f"systemctl stop ssod && rm {SEALED}")
        self.env.power("off", master)
        self.env.ssh(standby, "systemctl start ssod")
        self.begins("SsoNoKeyring")
        self.book.run("sealed-copy-missing", standby, HOST=standby)
        self.on(master)
        self.ends("SsoNoKeyring")
        promise(self.server(standby)["mastership"] == "active", f"{standby} is the master, with the keyring of the backup")

    def no_standby(self) -> None:
        standby = self.roles()[1]
        # No file takes the place of a directory: as on a disk that is read-only. It looks there when it starts.
        self.env.ssh(standby, f"rm {SEALED} && mkdir -p {SEALED}/in-the-way && systemctl restart ssod")
        self.begins("SsoNoPromotableStandby")
        self.book.run("no-standby", standby)
        self.env.ssh(standby, f"rm -r {SEALED}")
        self.book.run("no-standby", standby)
        self.ends("SsoNoPromotableStandby")

    def server_down(self) -> None:
        standby = self.roles()[1]
        self.env.ssh(standby, "systemctl stop ssod")
        self.begins("SsoServerDown")
        self.book.run("server-down", standby)
        self.ends("SsoServerDown")

    def server_detached(self) -> None:
        master, standby = self.roles()
        blackhole(self.env, standby, [master])
        self.begins("SsoServerDetached")
        self.book.run("server-detached", standby, {"ssoctl status": 5})
        heal(self.env, standby, [master])
        self.ends("SsoServerDetached")
        self.book.run("server-detached", standby)

    def ssod_killed(self) -> None:
        master = self.roles()[0]
        signal_ssod(self.env, master, "KILL")
        self.well()
        self.book.run("ssod-killed", master)

    def ssod_frozen(self) -> None:
        master = self.roles()[0]
        signal_ssod(self.env, master, "STOP")
        self.well()
        self.book.run("ssod-frozen", master)

    def disk_full(self) -> None:
        master, standby = self.roles()
        fill_disk(self.env, master)
        promise(not self.refuses(master) and not self.refuses(standby), "its audit log has room yet")
        self.book.run("disk-full", master)
        free_disk(self.env, master)
        self.book.run("disk-full", master)
        self.well()

    def all_rebooted(self) -> None:
        master = self.roles()[0]
        everything = [*SERVERS, DATABASE]
        for host in everything:
            self.env.power("off", host)
        for host in everything:
            subprocess.run([TESTHOSTS, "on", self.env.name, host, "--no-wait"], check=True, capture_output=True)
        wait_for(lambda: self._is_on(master), f"{master} is up", 60)
        self.well()
        self.book.run("all-rebooted", master)
        promise(self.server(master)["mastership"] == "active", f"{master} is the master again")

    def database_unreachable(self) -> None:
        self.well()
        self.env.ssh(DATABASE, "systemctl stop postgresql")
        self.begins("SsoDatabaseUnreachable")
        self.book.run("database-unreachable", DATABASE)
        self.ends("SsoDatabaseUnreachable")

    def database_lost(self) -> None:
        master = self.roles()[0]
        self.env.ssh(DATABASE, f"runuser -u postgres -- pg_dump --format=custom --file={DUMP} sso")
        tables = self.env.ssh(DATABASE, f"{PSQL} -c \"SELECT string_agg(tablename, ', ') FROM pg_tables WHERE schemaname = 'public'\"").strip()
        self.env.ssh(DATABASE, f"{PSQL} -c 'DROP TABLE {tables} CASCADE'")
        wait_for(lambda: self.refuses(master), "the master misses the database", 60)
        self.book.run("database-lost", DATABASE, FILE=DUMP, HOST=master)
        self.well()

    def not_backed_up(self) -> None:
        master = self.roles()[0]
        self.env.ssh(DATABASE, f"{PSQL} -c 'DELETE FROM backup'")
        self.begins("SsoNotBackedUp")
        promise(self.refuses(master), "nothing is encrypted")
        self.book.run("not-backed-up", master)
        self.ends("SsoNotBackedUp")

    def certificate_expires(self) -> None:
        standby = self.roles()[1]
        issue_again(self.env, standby, 10)
        self.env.ssh(standby, "systemctl reload ssod")
        self.begins("SsoCertificateExpires")
        self.book.run("certificate-expires", standby)
        self.ends("SsoCertificateExpires")

    def certificate_expired(self) -> None:
        standby = self.roles()[1]
        issue_again(self.env, standby, -1)
        wait_for(lambda: "expired" in " ".join(self.server(standby)["unfit"]), "it says that its certificate has expired", 30)
        self.book.run("certificate-expired", standby)
        self.well()

    def key_ids_differ(self) -> None:
        master, standby = self.roles()
        blackhole(self.env, standby, [master])
        wait_for(lambda: self.refuses(standby), f"{standby} is detached", 90)
        rotate = f"--output /var/backups/without.age --passphrase-file - --without {standby} --yes"
        self.env.ssh(master, f"ssoctl secret rotate {rotate}", stdin=b"a passphrase of a test\n")
        self.begins("SsoKeyIdsDiffer")
        self.book.run("key-ids-differ", standby)
        heal(self.env, standby, [master])
        self.ends("SsoKeyIdsDiffer")
        self.book.run("key-ids-differ", standby)

    def secret_old(self) -> None:
        master = self.roles()[0]
        before = self.server(master)["key_id"]
        self.book.run("secret-old", master)
        promise(self.server(master)["key_id"] != before, "there is another master secret")

    def two_masters(self) -> None:
        master = self.roles()[0]
        self.book.run("two-masters", master)


def tell(env: Environment, ask: Ask) -> None:
    """Every incident, and the report of how long the commands of each page took."""
    incidents = Incidents(env, ask)
    story = (
        incidents.old_master_returns,
        incidents.master_lost,
        incidents.master_cut_off,
        incidents.server_down,
        incidents.server_detached,
        incidents.ssod_killed,
        incidents.ssod_frozen,
        incidents.not_backed_up,
        incidents.certificate_expires,
        incidents.certificate_expired,
        incidents.no_standby,
        incidents.database_unreachable,
        incidents.key_ids_differ,
        incidents.secret_old,
        incidents.database_lost,
        incidents.sealed_copy_missing,
        incidents.disk_full,
        incidents.all_rebooted,
        incidents.two_masters,
    )
    for incident in story:
        say(f"incident: {incident.__name__}")
        incident()
    incidents.well()
    incidents.book.end()
    write_report("runbooks", {"figures": {f"{page}: seconds": round(seconds, 1) for page, seconds in incidents.book.seconds.items()}})
