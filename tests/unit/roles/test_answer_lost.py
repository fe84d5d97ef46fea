"""What answers a lost master: when it refuses, whom it chooses, and when the master counts as acting. Ansible evaluates the role's own variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

PROJECT = Path(__file__).parents[3]
ROLE = PROJECT / "roles" / "master"
GROUPS = {"sso_master": ["m1"], "sso_standbys": ["m2", "m3"], "sso_servers": ["m1", "m2", "m3", "s1"]}
LOST = {"msg": "no route to host"}


def look(*unfit: str, candidate: bool = True, master: str | None = "m1", reaches: bool = True, managed_by: str = "operator") -> dict[str, Any]:
    """What a server that answers says."""
    server = {"may_become_master": candidate, "unfit": list(unfit), "managed_by": managed_by, "sentence": "detached: ..."}
    return {"server": server, "database": {"reachable": reaches}, "environment": {"master": master, "epoch": 3} if reaches else None}


def looks(**servers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """m1 is lost, all others are well, but for what is given."""
    return {"m1": LOST, "m2": look(), "m3": look(), "s1": look(candidate=False)} | servers


class Case(NamedTuple):
    looks: dict[str, dict[str, Any]]
    variables: dict[str, Any]
    refusals: list[str]  # a part of each
    standbys: list[str]


CASES = {
    "the first standby is chosen": Case(looks(), {}, [], ["m2", "m3"]),
    "one that is not fit is passed over": Case(looks(m2=look("its sealed copy is stale")), {}, [], ["m3"]),
    "one that does not answer is passed over": Case(looks(m2=LOST), {}, [], ["m3"]),
    "one that does not reach the database is passed over": Case(looks(m2=look(reaches=False)), {}, [], ["m3"]),
    "the master is not chosen, though it answers": Case(looks(m1=look(), m2=LOST, m3=LOST), {}, ["no standby is fit"], []),
    "each that is not fit is named, with the reason": Case(
        looks(m2=look("its sealed copy is stale"), m3=LOST), {}, ["m2: its sealed copy is stale. m3: does not answer"], []
    ),
    "nothing is known without the database": Case(
        looks(m2=look(reaches=False), m3=LOST, s1=look(reaches=False)), {}, ["no server that answers reaches the SSO database"], []
    ),
    "a server that only decrypts may be the witness": Case(looks(m2=LOST, m3=LOST), {}, ["no standby is fit"], []),
    "a cluster is left alone": Case(looks(), {"sso_topology": "cluster"}, ["a cluster decides"], ["m2", "m3"]),
    "a cluster is known by its members too": Case(looks(m3=look(managed_by="cluster")), {}, ["a cluster decides"], ["m2", "m3"]),
    "an alert of another environment": Case(looks(), {"sso_event_environment": "test"}, ["the alert is of environment test"], ["m2", "m3"]),
    "a mode that is none": Case(looks(), {"sso_event_mode": "maybe"}, ["it is ask or promote"], ["m2", "m3"]),
    "a person stepped it down, and nobody is promoted": Case(
        looks(m2=look(master=None), m3=look(master=None), s1=look(candidate=False, master=None)),
        {"sso_event_mode": "promote"},
        ["somebody has stepped it down"],
        ["m2", "m3"],
    ),
    "a person stepped it down, and another is asked": Case(
        looks(m2=look(master=None), m3=look(master=None), s1=look(candidate=False, master=None)), {}, [], ["m2", "m3"]
    ),
}

# How long ago the master confirmed, in the answer of the witness, and whether it acts.
CONFIRMED = {"0.0": True, "5.9": True, "6.0": False, "null": False}


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run for all cases, a play each: what each decides, as JSON."""
    here = tmp_path_factory.mktemp("answer")
    inventory = {group: {"hosts": {host: {"ansible_connection": "local"} for host in hosts}} for group, hosts in GROUPS.items()}
    files = [str(ROLE / part / "main.yml") for part in ("defaults", "vars")]
    plays = []

    def play(name: str, facts: dict[str, Any], variables: dict[str, Any], wanted: dict[str, str]) -> None:
        shown = {"content": "{{ shown | to_json }}", "dest": str(here / f"{len(plays)}.json")}
        plays.append(
            {
                "name": name,
                "hosts": "sso_servers",
                "gather_facts": False,
                "vars_files": files,
                "tasks": [
                    {"ansible.builtin.set_fact": facts},
                    # Of a role, what an inventory says goes before its defaults; here, what the task says.
                    {"ansible.builtin.copy": shown, "run_once": True, "vars": variables | {"shown": wanted}},
                ],
            }
        )

    for name, case in CASES.items():
        wanted = {"refusals": "{{ _sso_event_refusals }}", "standbys": "{{ _sso_event_standbys }}"}
        play(name, {"__sso_look": "{{ " + json.dumps(case.looks).replace("null", "none") + "[inventory_hostname] }}"}, case.variables, wanted)
    for seconds in CONFIRMED:
        answer = {"environment": {"master_confirmed_seconds": json.loads(seconds)}}
        play(seconds, {"__sso_event_look": answer}, {}, {"acts": "{{ _sso_event_master_acts }}"})
    (here / "hosts.yml").write_text(json.dumps(inventory))
    (here / "play.yml").write_text(yaml.safe_dump(plays))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(here / "hosts.yml"), str(here / "play.yml")]
    # With this seed a set of the two standbys has the second one first: what takes the order from a set is seen.
    seeded = {"PYTHONHASHSEED": "1", "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    environment = os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg")} | seeded
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return here


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is(name: str, decided: Path) -> None:
    case = CASES[name]
    found = json.loads((decided / f"{list(CASES).index(name)}.json").read_text())
    assert found["standbys"] == case.standbys
    assert len(found["refusals"]) == len(case.refusals), found["refusals"]
    for text, part in zip(found["refusals"], case.refusals, strict=True):
        assert part in text


@pytest.mark.parametrize("seconds", CONFIRMED)
def test_a_master_acts_by_its_last_confirmation(seconds: str, decided: Path) -> None:
    """As long as the daemon itself lets it (core/states.py, CONFIRMATION_WINDOW)."""
    number = len(CASES) + list(CONFIRMED).index(seconds)
    assert json.loads((decided / f"{number}.json").read_text()) == {"acts": CONFIRMED[seconds]}
