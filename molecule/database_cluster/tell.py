"""The master as a resource of the PostgreSQL cluster: three hosts under Pacemaker. Every fault that can hit the active host."""

from __future__ import annotations

from failover import Failover
from leaks import Watch
from story import PROJECT, Environment, promise, wait_for

MEMBERS = ["c1", "c2", "c3"]

env = Environment("mol-database_cluster", PROJECT / "inventories" / "cluster" / "groups.yml")
story = Failover(env, MEMBERS, [*MEMBERS, "s1"], with_database=True)


def configuration() -> list[str]:
    """The cluster's configuration, as it is kept, without regard to its order."""
    return sorted(env.ssh("c1", "cibadmin --query --scope configuration").split())


def processes() -> list[str]:
    """The members' PostgreSQL: when each was started."""
    return [env.ssh(host, "sed -n 3p /var/lib/postgresql/*/main/postmaster.pid").strip() for host in MEMBERS]


def scored_first(old: str) -> str:
    """The standby that Pacemaker would promote now."""
    score = "crm_attribute --name master-sso-database --lifetime forever --query --quiet --node "
    return max((host for host in MEMBERS if host != old), key=lambda host: int(env.ssh(host, score + host).strip()))


SOURCE = "/etc/postgresql/17/main/conf.d/sso-database-source.conf"


def query(host: str, text: str) -> str:
    return env.ssh(host, "runuser -u postgres -- psql -XAtq", stdin=text.encode()).strip()


def receives_nothing(host: str) -> None:
    """A standby whose primary cannot be reached from there."""
    env.ssh(host, f"cat >{SOURCE}", stdin=f"primary_conninfo = 'host=127.0.0.1 port=1 application_name={host}'\n".encode())
    query(host, "SELECT pg_reload_conf()")
    wait_for(lambda: query(host, "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'") == "0", "the standby receives no more", 5)


def receives_again(host: str) -> None:
    env.ssh(host, f"rm -f {SOURCE}")
    query(host, "SELECT pg_reload_conf()")


def promoted_with_less() -> None:
    """The host is lost while the standby that is scored first has less than the other: it gets the rest from there, and is promoted."""
    caught_up: list[bool] = []
    first = ""

    def break_it(old: str, _other: str) -> list[str]:
        nonlocal first
        first = scored_first(old)
        receives_nothing(first)
        query(old, "SELECT pg_logical_emit_message(true, 'test', 'acknowledged by the other')")
        story.power("off", old)
        return [old]

    def mend(old: str, _other: str) -> None:
        wait_for(lambda: story.promoted("sso-database-clone", story.cluster(first)) not in {None, old}, "another is the primary", 60)
        said = env.ssh(first, "journalctl --no-pager -t sso-database --since -2min")
        caught_up.append("received from" in said)
        if not caught_up[-1]:  # the last look of the old primary came in between: the other was scored first by then
            receives_again(first)

    while not any(caught_up) and len(caught_up) < 4:
        story.fault("power-off, the first standby behind", break_it, mend, takes_down=True)
    promise(any(caught_up), "a standby that had less than another got the rest from there, and was promoted")


def adopted() -> None:
    """The master is added to a database cluster that is there already, and nothing else of that is touched."""
    story.settle()
    with_master, started = configuration(), processes()
    env.must("holdfast.sso.remove_cluster_master")
    without = configuration()
    url = env.ssh("c1", "sed -n 's/^url = \"\\(.*\\)\"$/\\1/p' /etc/ssod/ssod.toml").strip()
    others = ["-e", "sso_database_engine=external", "-e", f"sso_database_url={url}"]
    look = env.must("holdfast.sso.site", "--check", "--diff", *others)
    promise("sso-master-near-database" in look.output and configuration() == without, "--check --diff shows what would be added, and adds nothing")
    env.must("holdfast.sso.site", *others)
    story.settle()
    promise(configuration() == with_master and processes() == started, "it is added, and the database has not noticed")


with Watch(env) as watch:
    second = env.must("holdfast.sso.site")
    promise(second.changed == 0, "a second site.yml changes nothing")
    story.settle()

story.tell(lambda: story.database_killed(story.master), promoted_with_less)
adopted()
story.end("database_cluster", watch, second)
