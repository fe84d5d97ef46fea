#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps one configuration of an application; names of fields are shown, their values never."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: application_config
short_description: Keep a configuration of an application
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Creates, replaces or deletes one configuration of an affiliate application. Its values are encrypted under the master
    secret.
  - The server compares the values and tells the names of the fields that change. No value is ever returned, in check mode
    or else.
  - Written with a compare-and-set, so that nobody who wrote at the same time is overwritten.
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
  name:
    description:
      - The configuration's name.
    type: str
    required: true
  properties:
    description:
      - The fields and their values, which are strings (whole numbers are taken as well). The whole configuration.
        A field that is not here is removed.
      - With O(state=present) these or O(ciphertexts) are required.
    type: dict
  ciphertexts:
    description:
      - The same as O(properties), as C(ssoctl export) wrote them.
    type: dict
    version_added: 0.1.0
  state:
    description:
      - Whether the configuration is there.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: holdfast.sso.application
  - module: holdfast.sso.application_config_info
"""

EXAMPLES = r"""
- name: The payroll application knows how to reach the gateway
  holdfast.sso.application_config:
    application: payroll
    name: gateway
    properties:
      host: gateway.example.com
      password: "{{ vault_gateway_password }}"

- name: The old configuration is gone
  holdfast.sso.application_config:
    application: payroll
    name: gateway-2024
    state: absent
"""

RETURN = r"""
config:
  description: The configuration, without values. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    application:
      description: The application's name.
      type: str
    name:
      description: The configuration's name.
      type: str
    state:
      description: V(present) or V(absent).
      type: str
    version:
      description: Raised by each change. Not returned for an absent configuration.
      type: int
    fields:
      description: The names of its fields. Not returned for an absent configuration.
      type: list
      elements: str
changes:
  description: The names of the fields that were, or in check mode would be, C(added), C(changed) and C(removed).
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._values import sealed_or_texts

SPEC: dict[str, t.Any] = {
    "application": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "properties": {"type": "dict", "no_log": True},
    "ciphertexts": {"type": "dict", "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
KINDS = ("added", "changed", "removed")


def find_config(configs: t.Iterable[t.Mapping[str, t.Any]], application: str, name: str) -> Fields:
    """The configuration of this name, by the names of its fields; absent is what one that is not there is."""
    named = {"application": application, "name": name}
    for config in configs:
        if config["name"] == name:
            return {**named, "state": "present", "version": config["version"], "fields": sorted(config["fields"])}
    return {**named, "state": "absent"}


def fields_of(values: Fields) -> list[str]:
    """The names of the fields that a request body gives values for."""
    return sorted(field for member in values.values() for field in member)


def first_answer(fields: t.Iterable[str]) -> Fields:
    """What the daemon says of a first configuration."""
    return {"version": 1, "changes": {"added": sorted(fields), "changed": [], "removed": []}}


def plan_present(before: Fields, answer: t.Mapping[str, t.Any], fields: t.Iterable[str]) -> Plan:
    """What the daemon changed or, in check mode, would change. An empty configuration is one, too."""
    changed = before["state"] == "absent" or any(answer["changes"][kind] for kind in KINDS)
    after = {**before, "state": "present", "version": answer["version"], "fields": sorted(fields)}
    return Plan(changed, after)


def plan_absent(before: Fields) -> Plan:
    """What is there is deleted."""
    return Plan(before["state"] != "absent", {**chosen(before, ("application", "name")), "state": "absent"})


def marked(after: Fields, changes: t.Mapping[str, t.Sequence[str]]) -> Fields:
    """A configuration for the diff, where a changed value could not be told by its field's name alone."""
    marks = {field: kind for kind in ("added", "changed") for field in changes[kind]}
    return {**after, "fields": [f"{field} ({marks[field]})" if field in marks else field for field in after["fields"]]}


def write(module: SsoModule, before: Fields, values: Fields, application_is_there: bool) -> dict[str, t.Any]:
    """The daemon compares, and in check mode only compares: what is stored is never read here."""
    if module.check_mode and not application_is_there:
        module.warn(f"the application {before['application']} is absent: check mode expects an earlier task to make it")
        return first_answer(fields_of(values))
    # Compare-and-set: somebody who wrote since we read is not overwritten.
    body = {**values, "if_version": before.get("version", 0)}
    address = ("applications", before["application"], "config", before["name"])
    return module.api.put(*address, body=body, dry_run=module.check_mode)


def main() -> None:
    module = SsoModule(
        SPEC,
        returns="config",
        mutually_exclusive=[("properties", "ciphertexts")],
        required_if=[("state", "present", ("properties", "ciphertexts"), True)],
    )
    with module.reporting_errors():
        application, name = module.params["application"], module.params["name"]
        values = sealed_or_texts(module, "properties")
        listing = module.api.find("applications", application, "config")
        before = find_config(listing["configs"] if listing else (), application, name)
        if module.params["state"] == "present":
            answer = write(module, before, values, application_is_there=listing is not None)
            plan = plan_present(before, answer, fields_of(values))
            shown, changes = marked(plan.predicted, answer["changes"]), answer["changes"]
        else:
            plan = plan_absent(before)
            module.carry_out(plan, lambda: module.api.delete("applications", application, "config", name))
            shown, changes = plan.predicted, {"added": [], "changed": [], "removed": before.get("fields", [])}
        module.finish(plan, before, shown, result=plan.predicted, changes=changes)


if __name__ == "__main__":
    main()
