"""The master as a resource of the PostgreSQL cluster: three hosts under Pacemaker. Every fault that can hit the active host."""

from __future__ import annotations

from failover import Failover
from leaks import Watch
from story import PROJECT, Environment, promise

MEMBERS = ["c1", "c2", "c3"]

env = Environment("mol-database_cluster", PROJECT / "inventories" / "cluster" / "groups.yml")
story = Failover(env, MEMBERS, [*MEMBERS, "s1"], with_database=True)


def configuration() -> list[str]:
    """The cluster's configuration, as it is kept, without regard to its order."""
    return sorted(env.ssh("c1", "cibadmin --query --scope configuration").split())


def processes() -> list[str]:
    """The members' PostgreSQL: when each was started."""
    return [env.ssh(host, "sed -n 3p /var/lib/postgresql/*/main/postmaster.pid").strip() for host in MEMBERS]


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

story.tell(lambda: story.database_killed(story.master))
adopted()
story.end("database_cluster", watch, second)
