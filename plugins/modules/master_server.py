#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the server on this host the master, or makes it step down; the server decides whether that may be."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_server
short_description: Make a server the master secret server, or make it step down
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Activates or deactivates the master subservice of the server on the managed host.
  - An activation raises the epoch in the database in one compare-and-set. A former master that returns finds the newer
    epoch and steps down.
  - An activation that cannot be is refused with every failed condition, in check mode as well. Where a cluster manages the
    mastership, it is one that the cluster has not given it to this server.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  state:
    description:
      - V(active) makes this server the master. If it is active already, nothing is done.
      - V(inactive) makes it step down; the environment is then without an active master. Servers go on decrypting.
    type: str
    choices: [active, inactive]
    required: true
  expected_epoch:
    description:
      - Activate only if the database is at this epoch, so that of two promotions started at once only one is done.
      - Not looked at if the server is active already. Only with O(state=active).
    type: int
seealso:
  - module: holdfast.sso.master_server_info
  - module: holdfast.sso.master_secret_restore
"""

EXAMPLES = r"""
- name: See whether this standby could become the master
  holdfast.sso.master_server:
    state: active
  check_mode: true

- name: Promote this standby
  holdfast.sso.master_server:
    state: active
    expected_epoch: 3

- name: Step down before maintenance
  holdfast.sso.master_server:
    state: inactive
"""

RETURN = r"""
master:
  description: The master as this server sees it. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    state:
      description: V(active) or V(inactive), of this server.
      type: str
    this_server:
      description: The name of the server on the managed host.
      type: str
    master:
      description: The name of the master, V(none) if there is none.
      type: str
    epoch:
      description: Raised by each change of master.
      type: int
    mastership:
      description: V(active), V(passive) or V(unconfirmed), of this server.
      type: str
    managed_by:
      description: V(operator) or V(cluster), whichever decides which server is the master.
      type: str
    may_become_master:
      description: Whether this server is a standby, or the master.
      type: bool
    sentence:
      description: The state of this server in one sentence.
      type: str
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._views import master_view

SPEC: dict[str, t.Any] = {
    "state": {"type": "str", "choices": ["active", "inactive"], "required": True},
    "expected_epoch": {"type": "int"},
}
SHOWN = ("state", "master", "epoch")


def plan_mastership(before: Fields, state: str, answer: t.Mapping[str, t.Any]) -> Plan:
    """What the daemon did or, in check mode, would do."""
    if not answer["changed"]:
        return Plan(changed=False, predicted=before)
    active = state == "active"
    named: Fields = {
        "state": state,
        "master": before["this_server"] if active else None,
        "epoch": before["epoch"] + 1,
        "mastership": "active" if active else "passive",
    }
    return Plan(changed=True, predicted={**before, **named})


def change_mastership(module: SsoModule) -> dict[str, t.Any]:
    """One call that decides and acts: between two calls the answer may change, and what a server remembers may be old."""
    body: Fields = {"dry_run": module.check_mode}
    if module.params["state"] == "inactive":
        return module.api.post("master", "deactivate", body=body)
    if module.params["expected_epoch"] is not None:
        body["expected_epoch"] = module.params["expected_epoch"]
    return module.api.post("master", "activate", body=body)


def main() -> None:
    module = SsoModule(SPEC, returns="master")
    with module.reporting_errors():
        before = master_view(module.api.get("master"))
        answer = change_mastership(module)
        if not answer["changed"]:
            before = {**before, "epoch": answer["epoch"]}
        plan = plan_mastership(before, module.params["state"], answer)
        # The epoch is the database's: what a server remembers is a later one where an older copy of the database was restored.
        after = module.carry_out(plan, lambda: {**master_view(module.api.get("master")), "epoch": answer["epoch"]})
        module.finish(plan, chosen(before, SHOWN), chosen(after, SHOWN), result=after)


if __name__ == "__main__":
    main()
