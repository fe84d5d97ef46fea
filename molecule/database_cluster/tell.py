"""The master as a resource of the PostgreSQL cluster: three hosts under Pacemaker. Every fault that can hit the active host."""

from __future__ import annotations

from failover import Failover
from leaks import Watch, secrets_of
from story import PROJECT, Environment, promise, write_report

MEMBERS = ["c1", "c2", "c3"]

env = Environment("mol-database_cluster", PROJECT / "inventories" / "cluster" / "groups.yml")
story = Failover(env, MEMBERS, [*MEMBERS, "s1"], with_database=True)

with Watch(env) as watch:
    second = env.must("holdfast.sso.site")
    promise(second.changed == 0, "a second site.yml changes nothing")
    story.settle()

story.probes.start()
story.tell(
    story.killed,
    story.frozen,
    story.power_off,
    story.cut_off,
    lambda: story.database_killed(story.master),
    story.moved,
    story.disk_full,
    story.both_rebooted,
    story.split,
)
story.probes.stop()

leaked = watch.leaks(secrets_of(env))
write_report(
    "database_cluster",
    {
        "figures": story.report() | {"site_second_run_changed": second.changed, "leaks": len(leaked)},
        "faults": [{"fault": name, "runs": runs} for name, runs in story.faults.items()],
    },
)
promise(leaked == [], f"no secret is in any output, journal, argv, environment or core file: {leaked}")
