"""A restart of the master and a network that is gone for 10 s are no alert; a master without power is one, within 30 s.

Alerts are read from Alertmanager, where people's receivers get them; the timeline of the incident from Prometheus' own series.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import incidents
from story import PROJECT, Environment, promise, say, wait_for, write_report

env = Environment("mol-monitoring", PROJECT / "inventories" / "standby" / "groups.yml")
PROMETHEUS = "http://127.0.0.1:9090/api/v1"
UP = 'sum(up{job="ssod"})'
ALERTMANAGER = "http://127.0.0.1:9093/api/v2"


def ask(url: str) -> Any:
    """What answers on the monitoring host."""
    program = "import sys, urllib.request; sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())"
    return json.loads(env.ssh("db1", f"python3 -c '{program}' '{url}'"))


def alerts() -> dict[str, Any]:
    """Those that Alertmanager has now, by name."""
    return {alert["labels"]["alertname"]: alert for alert in ask(f"{ALERTMANAGER}/alerts")}


def query(expression: str) -> list[Any]:
    return ask(f"{PROMETHEUS}/query?query={quote(expression)}")["data"]["result"]


def value(expression: str) -> float | None:
    found = query(expression)
    return float(found[0]["value"][1]) if found else None


def masters() -> float | None:
    return value("sum(ssod_master_active)")


def calm(what: str) -> None:
    """After it, everything is scraped again and nobody was told anything."""
    wait_for(lambda: value(UP) == 2 and masters() == 1, f"all is well again after {what}", 60)
    told = [alert for alert in query('max_over_time(ALERTS{alertstate="firing"}[2m])') if alert["metric"]["alertname"] == "SsoMasterLost"]
    promise(told == [] and "SsoMasterLost" not in alerts(), f"{what} is no alert")


wait_for(lambda: value(UP) == 2 and masters() == 1, "both servers are watched", 60)
names = {rule["name"] for group in ask(f"{PROMETHEUS}/rules")["data"]["groups"] for rule in group["rules"]}
promise("SsoMasterLost" in names, f"Prometheus has the rules: {len(names)}")
wait_for(lambda: alerts() == {}, "a healthy environment has no alert", 30)
again = env.must("holdfast.sso.site")
promise(again.changed == 0, "a second run of site.yml changes nothing")

env.ssh("m1", "systemctl restart ssod")
calm("a restart of the master")
env.power("cut", "m1")
time.sleep(10)  # the length of the fault itself
env.power("join", "m1")
calm("a network that was gone for 10 s")

say("the master loses its power")
lost = time.time()
env.power("off", "m1")
told = wait_for(lambda: alerts().get("SsoMasterLost"), "Alertmanager has the alert", 60)
seconds = time.time() - lost
promise(seconds <= 30, f"somebody is told after {seconds:.1f} s, of 30")
promise(told["annotations"]["runbook_url"].endswith("/master-lost.md"), "the alert links to its runbook")
promotion = env.must("holdfast.sso.promote_master", "-e", "sso_new_master=m2")
wait_for(lambda: "SsoMasterLost" not in alerts(), "the alert is resolved", 60)
promise(wait_for(lambda: masters() == 1, "there is one master again", 30), "the metrics show the new master")
down = wait_for(lambda: alerts().get("SsoServerDown"), "the host that is off is told of", 90)
promise(down["labels"]["server"] == "m1", "and by its name")

write_report(
    "monitoring",
    {
        "hosts": {"db1": "bookworm", "m1": "trixie", "m2": "bookworm"},
        "figures": {"lost_to_alerted_seconds": round(seconds, 1), "promote_seconds": round(promotion.seconds, 1)},
    },
)
incidents.tell(env, ask)
