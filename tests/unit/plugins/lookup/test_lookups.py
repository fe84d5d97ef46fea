# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lookups config and credential: a value goes into the template, and nowhere else.

Each test is a run of ansible itself, as verbose as it gets: what a lookup would show, it shows here.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod
from ansible_collections.holdfast.sso.tests.unit.rig import Rig

CANARY = "canary-password-5ad0 {{ lookup('env', 'HOME') }}"
ROOT = pathlib.Path(__file__).resolve().parents[4]


@pytest.fixture
def payroll(ssod: FakeSsod) -> None:
    """A configuration, and a mapping of the caller."""
    fields = [{"name": "host", "masked": False}, {"name": "password", "masked": True}]
    ssod.put_application("payroll", body={"description": "", "fields": fields})
    ssod.put_config("payroll", "gateway", {"properties": {"host": "gw", "password": CANARY}}, dry_run=False)
    body = {"external_id": "A4711", "position": 0, "disabled_by_administrator": None, "credentials": {"password": CANARY}}
    ssod.put_mapping("payroll", "user:alice", body, dry_run=False)


def ansible(rig: Rig, directory: pathlib.Path, expression: str) -> subprocess.CompletedProcess[str]:
    """What ansible says to the claim that an expression is true."""
    collection = directory / "ansible_collections" / "holdfast" / "sso"
    collection.parent.mkdir(parents=True)
    collection.symlink_to(ROOT)
    task = {"ansible.builtin.assert": {"that": [expression]}, "vars": {"sso_lookup_socket": rig.socket_path}}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}]
    (directory / "play.yml").write_text(json.dumps(play))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SSOD_"))}
    environment = {**kept, "ANSIBLE_COLLECTIONS_PATH": str(directory), "ANSIBLE_NOCOLOR": "1", "HOME": str(directory)}
    command = [sys.executable, "-m", "ansible", "playbook", "-vvvvv", "-i", "localhost,", str(directory / "play.yml")]
    done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)
    assert CANARY.partition(" ")[0] not in done.stdout + done.stderr
    return done


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


@pytest.mark.usefixtures("payroll")
def test_a_configuration_is_a_dictionary_or_one_value(rig: Rig, tmp_path: pathlib.Path) -> None:
    """Masked values are among them, unless they are not wanted; no value is taken for a template, and none is shown."""
    done = ansible(
        rig,
        tmp_path,
        "(lookup('holdfast.sso.config', 'payroll/gateway').host == 'gw')"
        f" and (lookup('holdfast.sso.config', 'payroll/gateway', field='password') | hash('sha256') == '{digest(CANARY)}')"
        " and (lookup('holdfast.sso.config', 'payroll/gateway', reveal=false) == {'host': 'gw'})"
        " and (query('holdfast.sso.config', 'payroll/gateway', 'payroll/gateway') | length == 2)",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("payroll")
def test_credentials_are_those_of_the_caller(rig: Rig, tmp_path: pathlib.Path) -> None:
    """The account outside with all of them, or one value."""
    done = ansible(
        rig,
        tmp_path,
        "(lookup('holdfast.sso.credential', 'payroll').external_id == 'A4711')"
        f" and (lookup('holdfast.sso.credential', 'payroll').credentials.password | hash('sha256') == '{digest(CANARY)}')"
        f" and (lookup('holdfast.sso.credential', 'payroll', field='password') | hash('sha256') == '{digest(CANARY)}')",
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("payroll")
@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("lookup('holdfast.sso.config', 'payroll/gateway', field='prot')", "name one of its fields: host, password"),
        ("lookup('holdfast.sso.config', 'none/gateway')", "there is no application none"),
        ("lookup('holdfast.sso.credential', 'payroll', field='pin')", "the mapping of user:alice in payroll has no field pin"),
        ("lookup('holdfast.sso.config', 'a/b', socket='/none.sock')", "there is no socket /none.sock"),
    ],
)
def test_a_refusal_names_what_is_missing_and_no_value(rig: Rig, tmp_path: pathlib.Path, expression: str, words: str) -> None:
    """What and which, and what next."""
    done = ansible(rig, tmp_path, f"{expression} is defined")
    assert done.returncode != 0
    assert words in " ".join((done.stdout + done.stderr).split())
