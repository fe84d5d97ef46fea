#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a grant: which value of a configuration a systemd unit is given, and under which name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: unit_credential
short_description: Give a systemd unit a value as a credential
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Says which value of an application's configuration a systemd unit is given, on every SSO server, when it starts with
    C(LoadCredential=NAME:/run/ssod/credentials.sock).
  - It holds no value, only where the value is.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  application:
    description:
      - The application's name. In check mode it may be absent, as a task before this one may make it.
    type: str
    required: true
  unit:
    description:
      - The unit's whole name, such as V(sftp.service). That of a template, V(sftp@.service), stands for all of its instances.
    type: str
    required: true
  credential:
    description:
      - The name that the unit has for it.
    type: str
    required: true
  config:
    description:
      - The configuration with the value. It may come later.
      - With O(state=present) this and O(field) are required.
    type: str
  field:
    description:
      - The field with the value.
    type: str
  state:
    description:
      - Whether the unit is given it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: holdfast.sso.application_config
  - module: holdfast.sso.unit_credential_info
"""

EXAMPLES = r"""
- name: The transfer service is given its password when it starts
  holdfast.sso.unit_credential:
    application: payroll
    unit: sftp-transfer.service
    credential: sftp-password
    config: gateway
    field: password
"""

RETURN = r"""
unit_credential:
  description: The grant. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    application:
      description: The application's name.
      type: str
    unit:
      description: The unit's name.
      type: str
    credential:
      description: The name that the unit has for the value.
      type: str
    state:
      description: V(present) or V(absent). Nothing below is returned for an absent one.
      type: str
    config:
      description: The configuration with the value.
      type: str
    field:
      description: The field with the value.
      type: str
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._views import unit_credential_view

NAMED = ("application", "unit", "credential")
SPEC: dict[str, t.Any] = {
    "application": {"type": "str", "required": True},
    "unit": {"type": "str", "required": True},
    # A name, and no secret.
    "credential": {"type": "str", "required": True, "no_log": False},
    "config": {"type": "str"},
    "field": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def plan_unit_credential(before: Fields, params: t.Mapping[str, t.Any]) -> Plan:
    """Compares what is there with what is wanted."""
    if params["state"] == "absent":
        return Plan(before["state"] != "absent", {**chosen(before, NAMED), "state": "absent"})
    wanted = chosen(params, (*NAMED, "config", "field", "state"))
    return Plan(before != wanted, wanted)


def address(params: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    return ("applications", params["application"], "unit-credentials", params["unit"], params["credential"])


def apply(module: SsoModule, plan: Plan) -> Fields:
    if plan.predicted["state"] == "absent":
        module.api.delete(*address(module.params))
        return plan.predicted
    body = chosen(plan.predicted, ("config", "field"))
    return unit_credential_view(module.api.put(*address(module.params), body=body))


def foresee(module: SsoModule, plan: Plan) -> None:
    """In check mode the daemon says what it would refuse, unless an earlier task has yet to make the application."""
    if not module.check_mode or not plan.changed or plan.predicted["state"] == "absent":
        return
    if module.api.find("applications", module.params["application"]) is None:
        module.warn(f"the application {module.params['application']} is absent: check mode expects an earlier task to make it")
        return
    module.api.put(*address(module.params), body=chosen(plan.predicted, ("config", "field")), dry_run=True)


def main() -> None:
    module = SsoModule(SPEC, returns="unit_credential", required_if=[("state", "present", ("config", "field"))])
    with module.reporting_errors():
        found = module.api.find(*address(module.params))
        before = {**chosen(module.params, NAMED), "state": "absent"} if found is None else unit_credential_view(found)
        plan = plan_unit_credential(before, module.params)
        foresee(module, plan)
        after = module.carry_out(plan, lambda: apply(module, plan))
        module.finish(plan, before, after)


if __name__ == "__main__":
    main()
