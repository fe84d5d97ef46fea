"""The alert rules, by Prometheus' own tool: each fires after its time and not before (tests/monitoring/rules_test.yml)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import jinja2
import yaml

PROJECT = Path(__file__).parents[3]
TEMPLATE = PROJECT / "roles/monitoring/templates/rules.yml.j2"
STORY = PROJECT / "tests/monitoring/rules_test.yml"


def rendered() -> str:
    """As the role makes it with its defaults."""
    defaults = yaml.safe_load((PROJECT / "roles/monitoring/defaults/main.yml").read_text())
    environment = jinja2.Environment(variable_start_string="[[", variable_end_string="]]", undefined=jinja2.StrictUndefined)  # noqa: S701  YAML
    return environment.from_string(TEMPLATE.read_text()).render(defaults)


def promtool(*arguments: str | Path) -> str:
    program = shutil.which("promtool")
    assert program is not None, "apt-get install prometheus brings promtool"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_alert_fires_after_its_time(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rendered())
    shutil.copy(STORY, tmp_path)
    promtool("check", "rules", tmp_path / "rules.yml")
    promtool("test", "rules", tmp_path / STORY.name)


def test_every_alert_has_a_story_and_a_runbook() -> None:
    rules = yaml.safe_load(rendered())["groups"][0]["rules"]
    alerts = {rule["alert"] for rule in rules}
    assert alerts == set(re.findall(r"\bSso[A-Za-z]+\b", STORY.read_text())), "no alert without a test, and no test of none"
    pages = {rule["annotations"]["runbook_url"].rpartition("/")[2] for rule in rules}
    missing = {page for page in pages if not (PROJECT / "docs/runbooks" / page).is_file()}
    assert missing == set()
