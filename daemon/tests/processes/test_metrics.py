"""The metrics that docs/monitoring.md documents are those that real servers serve, and no others."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from servers import Fleet, Server, back_up
from waiting import wait_for

from ssod.runtime.loops import SEAL_PAUSE

DOCUMENT = Path(__file__).parents[3] / "docs/monitoring.md"
# Made by the Prometheus client for every counter.
CREATED = "_created"


def served(server: Server) -> list[Sample]:
    text = server.exchange("GET", "/metrics")[1].decode()
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return [each for each in found if not each.name.endswith(CREATED)]


def samples(server: Server) -> dict[tuple[str, str], float]:
    """By name and the values of the labels."""
    return {(each.name, ",".join(each.labels.values())): each.value for each in served(server)}


def documented() -> dict[str, set[str]]:
    """The names in the table, each with its labels."""
    table = DOCUMENT.read_text().partition("## The metrics")[2]
    cells = "".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    found = re.findall(r"`(ssod_[a-z_]+)(?:\{([a-z_,]+)\})?`", cells)
    return {name: {label for label in labels.split(",") if label} for name, labels in found}


def test_what_is_documented_is_served(fleet: Callable[..., Fleet]) -> None:
    """By a master with a verified backup that has refused something: nothing is missing there."""
    m1 = fleet("m1")["m1"]
    m1.refused("GET", "/v1/applications/none")
    wait_for(lambda: ("ssod_rotation_values_remaining", "") in samples(m1), "the master has counted")
    assert {each.name: set(each.labels) for each in served(m1)} == documented()


def test_a_rotation_is_seen_from_step_to_step(fleet: Callable[..., Fleet]) -> None:
    """Its phase, what remains and what was done; on the master alone, and on a master that was started in the middle of it."""
    servers = fleet("m1", "s1")
    m1, s1 = servers["m1"], servers["s1"]

    def seen() -> tuple[list[str], float | None, float]:
        found = samples(m1)
        phases = [label for (name, label), value in found.items() if name == "ssod_rotation_phase" and value]
        return phases, found.get(("ssod_rotation_values_remaining", "")), found["ssod_rotation_values_renewed_total", ""]

    fields = [{"name": name, "masked": True} for name in ("a", "b")]
    m1.ok("PUT", "/v1/applications/app", {"enabled": True, "fields": fields, "users": ["certificate:job"]})
    for name in ("one", "two"):
        m1.ok("PUT", f"/v1/applications/app/config/{name}", {"properties": {"a": "a", "b": "b"}})
    wait_for(lambda: seen() == (["idle"], 0, 0), "nothing is to do")
    path = "/v1/secret/rotation"
    m1.ok("POST", f"{path}/prepare", {})
    assert seen()[0] == ["prepared"]
    back_up(m1)
    wait_for(lambda: seen()[0] == ["backed_up"], "the backup is seen")
    m1.ok("POST", f"{path}/switch", {"without": []})
    m1.ok("GET", path)
    assert seen() == (["re_encrypting"], 4, 0)
    m1.ok("POST", f"{path}/renew", {"after": None, "limit": 3})
    assert seen() == (["re_encrypting"], 1, 3)
    m1.stop()
    m1.start()
    wait_for(lambda: seen() == (["re_encrypting"], 1, 0), "a master that was started meanwhile counts by itself")
    m1.ok("POST", f"{path}/renew", {"after": None, "limit": 3})
    assert seen() == (["idle"], 0, 1)
    of_another = {name for name, _ in samples(s1) if name.startswith("ssod_rotation")}
    assert of_another == {"ssod_rotation_values_renewed_total"}


def test_a_sealed_copy_that_is_taken_away_is_missed_and_made_again(fleet: Callable[..., Fleet]) -> None:
    """By the server itself, while nobody asks how it is but who scrapes it."""
    servers = fleet("m1", "m2")
    m2 = servers["m2"]
    wait_for(lambda: samples(m2)["ssod_sealed_copy_current", ""] == 1, "it is there")
    m2.sealed.unlink()
    m2.sealed.mkdir()  # in the way of another one
    wait_for(lambda: samples(m2)["ssod_sealed_copy_current", ""] == 0, "it is missed", SEAL_PAUSE + 10)
    m2.sealed.rmdir()
    wait_for(lambda: samples(m2)["ssod_sealed_copy_current", ""] == 1, "there is another one", 2 * SEAL_PAUSE + 10)
    assert m2.sealed.is_file()


def test_a_reload_does_not_leave_a_server_without_an_answer_for_two_intervals(fleet: Callable[..., Fleet]) -> None:
    """The question that waits at the master is cut off by it; the next one is answered at once."""
    s1 = fleet("m1", "s1")["s1"]

    def age() -> float:
        return samples(s1)["ssod_last_refresh_age_seconds", ""]

    wait_for(lambda: age() > 2, "it waits at the master")
    s1.send(signal.SIGHUP)
    wait_for(lambda: age() < 1, "the master has answered")
