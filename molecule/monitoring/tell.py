"""A restart of the master and a network that is gone for 10 s are no alert; a master without power is one, within 30 s. The rulebook that
hears of it promotes a standby, once; or it opens the promotion, and a person's yes promotes.

Alerts are read from Alertmanager, where people's receivers get them; the timeline of the incident from Prometheus' own series.
"""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import incidents
import releases
from events import Listener, refuses_clusters
from story import PROJECT, Environment, Probes, promise, say, wait_for, write_report

env = Environment("mol-monitoring", PROJECT / "inventories" / "standby" / "groups.yml")
PROMETHEUS = "http://127.0.0.1:9090/api/v1"
UP = 'sum(up{job="ssod"})'
SERVERS = 3
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


def well(servers: int = SERVERS) -> bool:
    return value(UP) == servers and masters() == 1


def calm(what: str) -> None:
    """After it, everything is scraped again; since the story began nobody was told anything, and nothing was promoted."""
    wait_for(well, f"all is well again after {what}", 60)
    told = [alert for alert in query('max_over_time(ALERTS{alertstate="firing"}[10m])') if alert["metric"]["alertname"] == "SsoMasterLost"]
    promise(told == [] and "SsoMasterLost" not in alerts(), f"{what} is no alert")
    promise(listener.answered() == 0 and epoch() == first_epoch, "and no promotion")


def epoch() -> int:
    return int(env.must_ask("s1", "GET", "/v1/status")["environment"]["epoch"])


def first(condition: str, after: float) -> float:
    """When Prometheus first saw that a condition holds, after a time (seconds since 1970)."""
    seen = wait_for(lambda: value(f"min_over_time(timestamp({condition} and timestamp({condition}) >= {after:.3f})[5m:1s])"), condition, 60)
    return float(seen or 0)


def timeline(lost: float, new_master: str, new_epoch: int) -> dict[str, float]:
    """The incident as the metrics have it: seconds after the power went."""
    attached = f'(ssod_attached{{server="s1"}} == 1 and ssod_can_encrypt{{server="s1"}} == 1 and ssod_epoch{{server="s1"}} == {new_epoch})'
    times = {
        "last_seen": value('max_over_time(timestamp(ssod_master_active{server="m1"} == 1)[5m:1s])') or 0.0,
        "alerted": first('ALERTS{alertname="SsoMasterLost",alertstate="firing"}', lost),
        "promoted": first(f'(ssod_master_active{{server="{new_master}"}} == 1)', lost),
        "attached": first(attached, lost),
    }
    for name, at in times.items():
        say(f"    {name:<10} {at - lost:+6.1f} s")
    return {name: round(at - lost, 1) for name, at in times.items()}


Probes(env, ["m1", "m2", "s1"]).equip("s1")
wait_for(well, "all servers are watched", 60)
names = {rule["name"] for group in ask(f"{PROMETHEUS}/rules")["data"]["groups"] for rule in group["rules"]}
promise("SsoMasterLost" in names, f"Prometheus has the rules: {len(names)}")
wait_for(lambda: alerts() == {}, "a healthy environment has no alert", 30)

listener = Listener(env)
refuses_clusters(env)
env.must("holdfast.sso.site")
listener.prepare("promote", 5)
first_epoch = epoch()
with listener.hearing():
    promise(listener.tell(listener.alert(), certificate=False) != 0, "nobody is heard without a certificate of the environment")
    env.ssh("m1", "systemctl restart ssod")
    calm("a restart of the master")
    env.power("cut", "m1")
    time.sleep(10)  # the length of the fault itself
    env.power("join", "m1")
    calm("a network that was gone for 10 s")
    # From here on it is the next release that is run.
    env.collections = releases.this().next(env.state / "next").collections
    env.must("holdfast.sso.site")
    calm("a rolling upgrade")
    listener.tell(listener.alert())
    wait_for(lambda: listener.answered() == 1, "an alert that is not true is answered", 60)
    promise("nothing is done" in listener.words() and epoch() == first_epoch, "with nothing: the master acts")

    say("the master loses its power, and nobody is there")
    lost = time.time()
    env.power("off", "m1")
    told = wait_for(lambda: alerts().get("SsoMasterLost"), "Alertmanager has the alert", 60)
    seconds = time.time() - lost
    promise(seconds <= 30, f"somebody is told after {seconds:.1f} s, of 30")
    promise(told["annotations"]["runbook_url"].endswith("/master-lost.md"), "the alert links to its runbook")
    wait_for(lambda: epoch() > first_epoch, "the standby is promoted", 60)
    new_epoch = epoch()
    incident = timeline(lost, "m2", new_epoch)
    promise(incident["attached"] < 60, f"encryption is back on the other servers {incident['attached']:.1f} s after the power went, of 60")
    answers = listener.answered()
    listener.tell(listener.alert())
    listener.tell(listener.alert())
    wait_for(lambda: listener.answered() > answers, "it is told again, and answers", 90)
    promise(epoch() == new_epoch, "it never promotes twice")
    promise("Alertmanager/" in listener.words() and "'ssod'" in listener.words(), "Alertmanager has told it, and so has a server's own hook")
wait_for(lambda: "SsoMasterLost" not in alerts(), "the alert is resolved", 60)
down = wait_for(lambda: alerts().get("SsoServerDown"), "the host that is off is told of", 90)
promise(down["labels"]["server"] == "m1", "and by its name")

say("a person is asked")
env.power("on", "m1")
wait_for(well, "m1 is a standby", 90)
listener.prepare("ask", 0)
with listener.hearing():
    env.power("off", "m2")
    wait_for(listener.open_promotions, "the promotion is open", 90)
    text = listener.open_promotions()[0].read_text(encoding="utf-8")
    promise(f"sso_new_master=m1 -e sso_expected_epoch={new_epoch}" in text, "with the command that does it")
    wait_for(lambda: listener.asked.exists() and listener.asked.read_text(encoding="utf-8").strip() == text.strip(), "a person is asked, once", 30)
    promise(epoch() == new_epoch, "and nothing is done before somebody says yes")
    yes = {"promote": "yes", "environment": listener.variables()["sso_environment"], "epoch": new_epoch}
    listener.tell(yes)
    wait_for(lambda: epoch() > new_epoch and masters() == 1, "a yes promotes m1", 60)
    answers = listener.answered()
    listener.tell(yes)
    wait_for(lambda: listener.answered() > answers, "a second yes is answered", 60)
    promise(epoch() == new_epoch + 1, "and does nothing")
env.power("on", "m2")
wait_for(well, "m2 is a standby", 90)

write_report(
    "monitoring",
    {
        "hosts": {"db1": "bookworm", "m1": "trixie", "m2": "bookworm", "s1": "bookworm"},
        "figures": {
            "lost_to_alerted_seconds": round(seconds, 1),
            "lost_to_attached_seconds": incident["attached"],
            "timeline": incident,
        },
    },
)
incidents.tell(env, ask)
