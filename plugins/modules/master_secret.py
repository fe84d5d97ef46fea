#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generates the master secret where the environment has none."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_secret
short_description: Make sure that the environment has a master secret
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Generates the master secret of the environment, on the active master secret server, if there is none.
  - The secret is made where it lives. It never reaches Ansible; what is returned are key ids, which are public.
  - A secret that has not been backed up cannot encrypt. Use M(holdfast.sso.master_secret_backup) next.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  state:
    description:
      - V(present) generates a master secret if the environment has none. A present one is left alone.
    type: str
    choices: [present]
    default: present
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
    backup:
      description: The last verified backup, V(none) if there is none.
      type: dict
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._views import secret_view

SHOWN = ("state", "current_key_id")


def plan_secret(before: t.Mapping[str, t.Any]) -> Plan:
    """A present secret is left alone, whatever else is true. The id of a new one cannot be known before."""
    if before["state"] == "present":
        return Plan(changed=False, predicted=before)
    predicted: Fields = {**before, "state": "present"}
    return Plan(changed=True, predicted=predicted)


def main() -> None:
    module = SsoModule({"state": {"type": "str", "choices": ["present"], "default": "present"}}, returns="secret")
    with module.reporting_errors():
        before = secret_view(module.api.get("secret"))
        plan = plan_secret(before)
        after = module.carry_out(plan, lambda: secret_view(module.api.post("secret", "generate", body={})))
        module.finish(plan, chosen(before, SHOWN), chosen(after, SHOWN), result=after)


if __name__ == "__main__":
    main()
