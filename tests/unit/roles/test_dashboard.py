"""The dashboard: Grafana's own types know every field, Prometheus parses every expression, and a server serves every metric in it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from test_monitoring_rules import promtool

PROJECT = Path(__file__).parents[3]
DASHBOARD = json.loads((PROJECT / "roles/monitoring/files/dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
# As Grafana fills them in.
VARIABLES = {"$environment": "default", "$__rate_interval": "1m", "$__range": "1h"}
PROMETHEUS_OWN = {"up", "ALERTS"}


def documented() -> set[str]:
    """What daemon/tests/processes/test_metrics.py compares with what a real ssod serves."""
    table = (PROJECT / "docs/monitoring.md").read_text().partition("## The metrics")[2]
    cells = "".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    return set(re.findall(r"`(ssod_[a-z_]+)", cells))


def missing(ours: Any, known: Any, at: str = "") -> list[str]:
    """What of ours is not in, or is otherwise in, what was read by Grafana's types and written again."""
    if isinstance(ours, dict) and isinstance(known, dict):
        return [path for key in ours for path in (missing(ours[key], known[key], f"{at}.{key}") if key in known else [f"{at}.{key}"])]
    if isinstance(ours, list) and isinstance(known, list) and len(ours) == len(known):
        return [path for number, pair in enumerate(zip(ours, known, strict=True)) for path in missing(*pair, f"{at}[{number}]")]
    return [] if ours == known else [at]


def test_grafana_knows_every_field_of_it() -> None:
    """A field that Grafana's types do not have is lost on the way through them."""
    register_default_plugins()
    again = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(DASHBOARD)))
    assert missing(DASHBOARD, again) == []


def test_prometheus_parses_every_expression(tmp_path: Path) -> None:
    """Each as a recording rule."""
    rules = []
    for number, (title, target) in enumerate(TARGETS):
        expression = target["expr"]
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, f"{title}: a variable that is not Grafana's, nor the dashboard's"
        rules.append({"record": f"panel:number{number}", "expr": expression})
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(TARGETS)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


def test_every_metric_is_served() -> None:
    """And of the chosen environment alone. What the servers serve is documented, by a test of theirs."""
    known = documented() | PROMETHEUS_OWN
    for title, target in TARGETS:
        selectors = re.findall(r"([A-Za-z_:][\w:]*)\{([^}]*)\}", target["expr"])
        bare = set(re.findall(r"\bssod_\w+", target["expr"])) - {name for name, _labels in selectors}
        assert selectors, title
        assert not bare, (title, bare)
        for name, labels in selectors:
            assert name in known, (title, name)
            assert 'environment="$environment"' in labels, (title, name)


def test_it_is_asked_of_the_chosen_data_source() -> None:
    """Of no other: a data source's uid is another on each Grafana."""
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    sources = [each["datasource"] for each in [*PANELS, *(target for _title, target in TARGETS), variables["environment"]]]
    assert {source["uid"] for source in sources} == {"${datasource}"}


def test_no_panel_covers_another() -> None:
    """All of them are within 24 columns, and each has its own id, a title and a description."""
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] and panel["description"] for panel in PANELS)
    places = [(panel["title"], panel["gridPos"]) for panel in DASHBOARD["panels"]]
    assert all(at["x"] >= 0 and at["x"] + at["w"] <= 24 for _panel, at in places)
    for (one, a), (two, b) in itertools.combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or apart, (one, two)
