#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generates the master secret where the environment has none, and rotates it in steps."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_secret
short_description: Generate or rotate the master secret
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Generates the master secret of the environment, on the active master secret server, if there is none.
  - The secret is made where it lives. It never reaches Ansible; what is returned are key ids, which are public.
  - A secret that has not been backed up cannot encrypt. Use M(holdfast.sso.master_secret_backup) next.
  - A rotation is three steps, with a backup between the first two. Nobody is refused anything meanwhile. Each step can be
    repeated, and what is done already is left alone; the playbook C(holdfast.sso.rotate_secret) takes them all.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  state:
    description:
      - V(present) generates a master secret if the environment has none. A present one is left alone.
      - V(prepared) generates the secret that is to be the next, unless there is one, or the current one is younger than
        O(max_age). Every server gets it, and none uses it yet.
      - V(rotated) makes the next secret the current one, if there is a next one. It is refused while a server does not hold it,
        or no verified backup does.
      - V(renewed) brings values that are stored under a retired secret under the current one, for O(seconds).
    type: str
    choices: [present, prepared, rotated, renewed]
    default: present
  max_age:
    description:
      - With O(state=prepared), how old the current secret may be, in days. By default it is always replaced.
    type: int
  without:
    description:
      - With O(state=rotated), servers that may be left behind without the next secret. They fetch it when they reach the master.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - With O(state=rotated), how long a server may take to say what it holds, in seconds. C(ssod) takes up to 60.
    type: int
    default: 10
  rate:
    description:
      - With O(state=renewed), how many values a second at most, so that the database keeps serving. V(0) is no limit.
    type: int
    default: 12000
  seconds:
    description:
      - With O(state=renewed), after how many seconds to end with what is done, so that the next task can tell how far it is.
    type: int
    default: 30
seealso:
  - module: holdfast.sso.master_secret_info
  - module: holdfast.sso.master_secret_backup
  - module: holdfast.sso.master_server
"""

EXAMPLES = r"""
- name: The environment has a master secret
  holdfast.sso.master_secret:
    state: present
  become: true
  become_user: sso-operator
  run_once: true

- name: There is a next secret, if the current one is older than a year
  holdfast.sso.master_secret:
    state: prepared
    max_age: 365

- name: The next secret is the current one
  holdfast.sso.master_secret:
    state: rotated
"""

RETURN = r"""
secret:
  description: The master secret, by key ids.
  returned: success
  type: dict
  contains:
    state:
      description: V(present), or V(absent) while there is none.
      type: str
    environment_id:
      description: Which environment this is.
      type: str
    current_key_id:
      description: The key id of the current secret. V(none) in check mode if it would be generated.
      type: str
    epoch:
      description: Raised by each change of master.
      type: int
    generated_at:
      description: When the current secret was generated.
      type: str
    keyring:
      description: Every key of the keyring, with its key id, its state and when it was created.
      type: list
      elements: dict
    held_key_ids:
      description: The key ids that this server holds in memory.
      type: list
      elements: str
    sealed_key_id:
      description: The current key id of the sealed copy on this server's disk.
      type: str
    next_key_id:
      description: The key id of the secret that a rotation is to make current. V(none) if no rotation is being prepared.
      type: str
    backup:
      description: The last verified backup, V(none) if there is none.
      type: dict
rotation:
  description: How far the rotation is.
  returned: with all states but V(present)
  type: dict
  contains:
    left:
      description: How many values are stored under a retired secret. Not known before the secret is rotated.
      type: int
    renewed:
      description: How many values were brought under the current secret now.
      type: int
    seconds:
      description: How long that took.
      type: float
    damaged:
      description: Values that do not open, and were left as they are.
      type: list
      elements: dict
    servers:
      description: What each server held before the secret was rotated.
      type: list
      elements: dict
"""

import datetime
import time
import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod, SsodError
from ansible_collections.holdfast.sso.plugins.module_utils._views import secret_view

SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["present", "prepared", "rotated", "renewed"], "default": "present"},
    "max_age": {"type": "int"},
    "without": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 10},
    "rate": {"type": "int", "default": 12000},
    "seconds": {"type": "int", "default": 30},
}
SHOWN = ("state", "current_key_id", "next_key_id")
BATCH = 250


def plan_secret(before: t.Mapping[str, t.Any]) -> Plan:
    """A present secret is left alone, whatever else is true. The id of a new one cannot be known before."""
    if before["state"] == "present":
        return Plan(changed=False, predicted=before)
    predicted: Fields = {**before, "state": "present"}
    return Plan(changed=True, predicted=predicted)


def plan_preparation(before: t.Mapping[str, t.Any], max_age: int | None, now: datetime.datetime) -> Plan:
    """A next secret that the master holds is left alone, and a current one that is young enough."""
    refuse_none(before)
    at_hand = before["next_key_id"] in before["held_key_ids"]
    young = max_age is not None and now - instant(before["generated_at"]) < datetime.timedelta(days=max_age)
    return Plan(changed=not at_hand and (before["next_key_id"] is not None or not young), predicted=before)


def plan_rotation(before: t.Mapping[str, t.Any]) -> Plan:
    """Changes something if there is a next secret."""
    refuse_none(before)
    if before["next_key_id"] is None:
        return Plan(changed=False, predicted=before)
    return Plan(changed=True, predicted={**before, "current_key_id": before["next_key_id"], "next_key_id": None})


def refuse_none(before: t.Mapping[str, t.Any]) -> None:
    """There must be a secret to rotate."""
    if before["state"] != "present":
        raise SsodError("no-secret", "the environment has no master secret", "generate it with state=present, or site.yml")


def instant(text: str) -> datetime.datetime:
    """RFC 3339 in whole seconds, UTC, as the daemon writes it."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def how_far(api: Ssod, **more: t.Any) -> Fields:
    """The rotation as it is returned."""
    nothing: Fields = {"renewed": 0, "seconds": 0.0, "damaged": [], "servers": []}
    return {"left": api.get("secret", "rotation")["left"], **nothing, **more}


def generate(module: SsoModule, before: Fields) -> tuple[Plan, Fields, Fields]:
    """Each state is one of these: what is planned, the secret afterwards, and what is returned besides."""
    plan = plan_secret(before)
    return plan, module.carry_out(plan, lambda: secret_view(module.api.post("secret", "generate", body={}))), {}


def prepare(module: SsoModule, before: Fields) -> tuple[Plan, Fields, Fields]:
    """Sees to a next secret."""
    plan = plan_preparation(before, module.params["max_age"], datetime.datetime.now(datetime.timezone.utc))

    def act() -> Fields:
        module.api.post("secret", "rotation", "prepare", body={})
        return secret_view(module.api.get("secret"))

    return plan, module.carry_out(plan, act), {"rotation": how_far(module.api)}


def rotate(module: SsoModule, before: Fields) -> tuple[Plan, Fields, Fields]:
    """Makes the next secret current. Whether every server holds it is asked in check mode too."""
    plan = plan_rotation(before)
    servers = []
    if plan.changed:
        timeout = module.params["timeout"]
        body = {"without": module.params["without"], "timeout": timeout, "dry_run": module.check_mode}
        # The daemon asks all of them at once; the rest is for its own answer.
        servers = module.api.post("secret", "rotation", "switch", body=body, timeout=timeout + 30)["servers"]
    after = module.carry_out(plan, lambda: secret_view(module.api.get("secret")))
    return plan, after, {"rotation": how_far(module.api, servers=servers)}


def renew(module: SsoModule, before: Fields) -> tuple[Plan, Fields, Fields]:
    """Brings values under the current secret until all are, or the time is up."""
    refuse_none(before)
    rotation = how_far(module.api)
    plan = Plan(rotation["left"] > 0, {**rotation, "left": 0})
    return plan, before, {"rotation": module.carry_out(plan, lambda: renew_values(module))}


def renew_values(module: SsoModule) -> Fields:
    """One pass, at the rate that is wanted, for as long as there is time."""
    api, rate, began = module.api, module.params["rate"], time.monotonic()
    renewed, damaged, after = 0, [], None
    while True:
        batch = api.post("secret", "rotation", "renew", body={"after": after, "limit": BATCH})
        renewed += batch["renewed"]
        damaged += batch["damaged"]
        after = batch["last"]
        if after is None or time.monotonic() - began > module.params["seconds"]:
            return how_far(api, renewed=renewed, damaged=damaged, seconds=round(time.monotonic() - began, 1))
        if rate:
            # What is left of the time that so many values may take is the database's, for others.
            time.sleep(max(0.0, began + renewed / rate - time.monotonic()))


STATES = {"present": generate, "prepared": prepare, "rotated": rotate, "renewed": renew}


def main() -> None:
    module = SsoModule(SPEC, returns="secret")
    with module.reporting_errors():
        before = secret_view(module.api.get("secret"))
        plan, after, more = STATES[module.params["state"]](module, before)
        module.finish(plan, chosen(before, SHOWN), chosen(after, SHOWN), result=after, **more)


if __name__ == "__main__":
    main()
