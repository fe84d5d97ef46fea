"""The master on a Pacemaker cluster of its own: two members and a quorum device. Every fault that can hit the active host."""

from __future__ import annotations

import json
import re

import incidents
from failover import Failover
from faults import issue_again
from leaks import Watch
from story import PROJECT, Environment, promise, wait_for

MEMBERS = ["c1", "c2"]
# A setting that every server has to be restarted for.
CHANGED = ("-e", "sso_refresh_interval=50")

env = Environment(
    "mol-cluster", PROJECT / "inventories" / "cluster" / "groups.yml", PROJECT / "molecule" / "cluster" / "inventory" / "hosts.yml"
)
story = Failover(env, MEMBERS, [*MEMBERS, "s1"], with_database=False)


def configuration() -> str:
    """The cluster's configuration, as it is kept."""
    return env.ssh("c1", "cibadmin --query --scope configuration")


def restart_database(_old: str, _other: str) -> None:
    """Nobody else starts a PostgreSQL that runs on a host of its own."""
    wait_for(lambda: not env.must_ask("s1", "GET", "/v1/status")["database"]["reachable"], "s1 misses the database", 30)
    env.ssh("db1", "systemctl restart 'postgresql@*'")


def refused(reason: str, *arguments: str, playbook: str = "holdfast.sso.site") -> None:
    """A playbook that must end with this reason."""
    run = env.playbook(playbook, *arguments)
    promise(run.code != 0 and reason in " ".join(run.output.split()), f"refused, and the reason says: {reason}")


def bad_input() -> None:
    """What cannot work is refused before anything is changed, or survived with a reason."""
    before, epoch = configuration(), story.server("s1")["epoch"]
    standby = next(host for host in MEMBERS if host != story.master())

    by_hand = env.ssh(standby, "ssoctl master activate 2>&1", check=False)
    promise("managed by the cluster" in by_hand, "a member that is activated by hand refuses, and says who manages mastership")
    refused("still manages the master", "-e", "sso_topology=standby_promotion")
    refused("not a member of the cluster", "-e", "sso_new_master=s1", playbook="holdfast.sso.promote_master")
    silent = {"ip": "127.0.0.1", "ipport": 1, "username": "u", "password": "p", "systems_uri": "/{{ inventory_hostname }}"}
    refused("does not answer", "--check", "-e", json.dumps({"sso_fence_parameters": silent}))
    promise(configuration() == before and story.server("s1")["epoch"] == epoch, "the refusals changed nothing")


def unfit() -> None:
    """A member whose certificate has expired is not promoted, and says why; the next site.yml mends it, the master last."""
    master = story.master()
    standby = next(host for host in MEMBERS if host != master)
    issue_again(env, standby, -1)
    wait_for(lambda: "expired" in " ".join(story.server(standby)["unfit"]), "the member says that its certificate has expired", 20)
    score = f"attrd_updater --query --name master-sso-master --node {standby}"
    wait_for(lambda: 'value="-1"' in env.ssh(master, score), "the cluster does not promote it", 20)
    refused("certificate expired", "-e", f"sso_new_master={standby}", playbook="holdfast.sso.promote_master")

    epoch = story.server(master)["epoch"]
    site = env.must("holdfast.sso.site", *CHANGED)
    restarted = re.findall(r"Restart ssod\] \*+\nchanged: \[(?:\S+ -> )?(\w+)", site.output)
    story.settle()
    promise(restarted[-1] == master and set(restarted) == {*MEMBERS, "s1"}, f"members are restarted one by one, the master last: {restarted}")
    promise(story.server(master)["mastership"] == "active" and story.server(master)["epoch"] == epoch, "the cluster sees nothing of it")
    promise(story.server(standby)["unfit"] == [], "the member has a new certificate, and is fit")


def removed() -> None:
    """The master goes off the cluster and comes back, and the rest of the cluster does not notice."""
    story.settle()
    with_master = configuration()
    env.must("holdfast.sso.remove_cluster_master")
    without = configuration()
    promise("sso-master" not in without and "sso-fence-c1" in without, "removal takes the master away, and nothing else")
    agent = "/usr/lib/ocf/resource.d/holdfast/sso-master"
    env.ssh("c1", f"cat >{agent} && chmod 755 {agent}", stdin=(PROJECT / "ocf" / "sso-master").read_bytes())
    tested = env.ssh("c1", f"ocf-tester -n sso-master {agent} 2>&1; rm {agent}", check=False)
    promise("passed all tests" in tested, f"the agent passes ocf-tester: {tested.strip().splitlines()[-1]}")
    other = '<primitive id="sso-master-address" class="ocf" provider="pacemaker" type="Dummy"/>'
    env.ssh("c1", f"cibadmin --create --scope resources --xml-text '{other}'")
    refused("existing resource of the same name", "--check", *CHANGED)
    env.ssh("c1", f"cibadmin --delete --xml-text '{other}'")
    # With the settings as they are: without a master, no plain server is restarted for others.
    site = env.must("holdfast.sso.site", "--diff", *CHANGED)
    promise("sso-master-clone" in site.output and site.changed > 0, "site.yml brings it back, and shows the difference")
    story.settle()
    promise(sorted(configuration().split()) == sorted(with_master.split()), "the cluster is configured as it was")


with Watch(env) as watch:
    second = env.must("holdfast.sso.site")
    promise(second.changed == 0, "a second site.yml changes nothing")
    story.settle()
    bad_input()
    unfit()

story.tell(lambda: story.database_killed(lambda: "db1", restart_database))
removed()
incidents.tell(story)
story.end("cluster", watch, second)
