#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps an affiliate application: who may use it, and which fields its configuration has."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: application
short_description: Keep an affiliate application
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Creates, changes or deletes an affiliate application, with the people who may administer and use it and the fields
    that its
    configuration may have.
  - Options that are not given leave what is there.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  name:
    description:
      - The application's name.
    type: str
    required: true
  description:
    description:
      - What it is, for people.
    type: str
  contact:
    description:
      - Whom to ask about it.
    type: str
  enabled:
    description:
      - Whether it can be used. A new application is enabled unless told otherwise.
    type: bool
  administrators:
    description:
      - Who may change its configuration, each as C(group:UNIX-GROUP) or C(certificate:NAME). The whole list.
    type: list
    elements: str
  users:
    description:
      - Who may encrypt, decrypt and read its configuration, each as C(group:UNIX-GROUP) or C(certificate:NAME). The whole
        list.
    type: list
    elements: str
  fields:
    description:
      - The fields that a configuration of this application may have. The whole list.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The field's name.
        type: str
        required: true
      masked:
        description:
          - Whether its values are left out wherever a configuration is shown.
        type: bool
        default: false
  state:
    description:
      - Whether the application is there.
    type: str
    choices: [present, absent]
    default: present
  on_config:
    description:
      - What O(state=absent) does to an application that still has configuration.
      - V(refuse) fails, and V(delete) deletes the configuration with it. Configuration cannot be brought back.
    type: str
    choices: [refuse, delete]
    default: refuse
seealso:
  - module: holdfast.sso.application_info
  - module: holdfast.sso.application_config
"""

EXAMPLES = r"""
- name: The payroll application is known
  holdfast.sso.application:
    name: payroll
    description: Payroll, at the tax office's gateway
    contact: payroll-team@example.com
    administrators: ["group:payroll-admins"]
    users: ["group:payroll", "certificate:batch7"]
    fields:
      - name: host
      - name: password
        masked: true

- name: The application and its configuration are gone
  holdfast.sso.application:
    name: legacy
    state: absent
    on_config: delete
"""

RETURN = r"""
application:
  description: The application. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    state:
      description: V(present) or V(absent).
      type: str
    description:
      description: What it is.
      type: str
    contact:
      description: Whom to ask about it.
      type: str
    enabled:
      description: Whether it can be used.
      type: bool
    administrators:
      description: Who may change its configuration.
      type: list
      elements: str
    users:
      description: Who may use it.
      type: list
      elements: str
    fields:
      description: The fields of its configuration, each with its name and whether it is masked.
      type: list
      elements: dict
    version:
      description: Raised by each change. In check mode, the version before.
      type: int
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError
from ansible_collections.holdfast.sso.plugins.module_utils._views import application_view

NEW: Fields = {"description": "", "contact": "", "enabled": True, "administrators": [], "users": [], "fields": []}
SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "description": {"type": "str"},
    "contact": {"type": "str"},
    "enabled": {"type": "bool"},
    "administrators": {"type": "list", "elements": "str"},
    "users": {"type": "list", "elements": "str"},
    "fields": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "masked": {"type": "bool", "default": False},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "on_config": {"type": "str", "choices": ["refuse", "delete"], "default": "refuse"},
}


def absent(name: str) -> Fields:
    """What an application that is not there looks like."""
    return {"name": name, "state": "absent"}


def wanted_body(before: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]) -> Fields:
    """The whole application as the options want it: what is not given stays, or has the default of a new one."""
    return {name: before.get(name, default) if params[name] is None else params[name] for name, default in NEW.items()}


def is_same(before: t.Mapping[str, t.Any], wanted: t.Mapping[str, t.Any]) -> bool:
    """Who may do what, and which fields there are, are sets: their order is no change."""
    return all(_unordered(before.get(name)) == _unordered(wanted[name]) for name in NEW)


def plan_application(before: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]) -> Plan:
    """Compares what is there with what is wanted."""
    if params["state"] == "absent":
        return Plan(before["state"] != "absent", absent(params["name"]))
    wanted = wanted_body(before, params)
    if before["state"] == "present" and is_same(before, wanted):
        return Plan(changed=False, predicted=before)
    return Plan(changed=True, predicted={**before, **wanted, "state": "present"})


def refuse_while_in_use(name: str, configs: t.Sequence[t.Mapping[str, t.Any]], on_config: str) -> None:
    """Refused here as well as by the daemon, which has no dry run for it: check mode must tell the truth."""
    if configs and on_config == "refuse":
        raise SsodError(
            "application-in-use",
            f"the application {name} still has configuration, which would be lost",
            "delete it with application_config, or say on_config: delete",
            conditions=[f"{config['name']} (version {config['version']}) is there" for config in configs],
        )


def find_application(module: SsoModule) -> Fields:
    found = module.api.find("applications", module.params["name"])
    return absent(module.params["name"]) if found is None else application_view(found)


def apply(module: SsoModule, before: t.Mapping[str, t.Any], plan: Plan) -> Fields:
    name = module.params["name"]
    if plan.predicted["state"] == "absent":
        module.api.delete("applications", name, with_config=module.params["on_config"] == "delete")
        return absent(name)
    # Compare-and-set: somebody who wrote since we read is not overwritten.
    body = {**wanted_body(before, module.params), "if_version": before.get("version", 0)}
    return application_view(module.api.put("applications", name, body=body))


def _unordered(value: t.Any) -> t.Any:
    if not isinstance(value, list):
        return value
    return sorted((item["name"], item["masked"]) if isinstance(item, dict) else item for item in value)


def main() -> None:
    module = SsoModule(SPEC, returns="application")
    with module.reporting_errors():
        before = find_application(module)
        plan = plan_application(before, module.params)
        if plan.changed and plan.predicted["state"] == "absent":
            configs = module.api.get("applications", before["name"], "config")["configs"]
            refuse_while_in_use(before["name"], configs, module.params["on_config"])
        after = module.carry_out(plan, lambda: apply(module, before, plan))
        module.finish(plan, before, after)


if __name__ == "__main__":
    main()
