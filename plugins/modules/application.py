#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps an affiliate application: what it keeps, who may use it, and which fields its data has."""

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
    that its configurations or credentials may have.
  - Options that are not given leave what is there.
  - What a change does to data that is stored is in RV(plan), in check mode as well.
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
      - Whether it can be used. A new application is disabled unless told otherwise.
      - It can be enabled only when somebody may use it. Otherwise the task fails with everything that is missing.
    type: bool
  administrators:
    description:
      - Who may change its configurations, mappings and users, each as C(group:UNIX-GROUP), C(user:UNIX-USER) or
        C(certificate:NAME). The whole list.
    type: list
    elements: str
  users:
    description:
      - Who may encrypt, decrypt, read its configurations and look up their own credentials, each as C(group:UNIX-GROUP),
        C(user:UNIX-USER) or C(certificate:NAME). The whole list.
      - The application's own administrators may change this option, and no other.
    type: list
    elements: str
  fields:
    description:
      - The fields that a configuration or the credentials of this application may have, in their order. The whole list.
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
      label:
        description:
          - What people read in place of its name.
        type: str
        default: ""
  type:
    description:
      - What the application keeps. V(config_store) keeps configurations; V(individual), V(group) and V(host_group) keep
        credentials, of one principal each, of groups in an order, and of hosts.
      - A new application is a V(config_store) unless told otherwise.
      - Becoming one of another type deletes everything that is kept, see O(data_loss).
    type: str
    choices: [individual, group, host_group, config_store]
  flags:
    description:
      - What else holds for it. A flag that is not given stays as it is.
    type: dict
    suboptions:
      tickets_allowed:
        description:
          - Whether its users may issue tickets. A new application allows none.
        type: bool
      tickets_validated:
        description:
          - Whether a ticket is redeemed only together with the name of its sender. So it is for a new application.
        type: bool
      tickets_single_use:
        description:
          - Whether a ticket is redeemed once only.
        type: bool
      ticket_timeout:
        description:
          - How long a ticket lives, in seconds, a day at most. 120 for a new application.
        type: int
      credential_cache:
        description:
          - Whether servers may keep a copy of its credentials, as ciphertext, for when the database is lost. So it is for a
            new application.
        type: bool
  state:
    description:
      - Whether the application is there.
    type: str
    choices: [present, absent]
    default: present
  data_loss:
    description:
      - What is done when stored data would be lost, by O(state=absent), by a field that is removed, or by another O(type).
      - V(refuse) fails and names the data, and V(accept) deletes it. It cannot be brought back.
    type: str
    choices: [refuse, accept]
    default: refuse
seealso:
  - module: holdfast.sso.application_info
  - module: holdfast.sso.application_config
  - module: holdfast.sso.credential_mapping
"""

EXAMPLES = r"""
- name: The payroll application is known
  holdfast.sso.application:
    name: payroll
    description: Payroll, at the tax office's gateway
    contact: payroll-team@example.com
    enabled: true
    administrators: ["group:payroll-admins"]
    users: ["group:payroll", "certificate:batch7"]
    fields:
      - name: host
      - name: password
        masked: true

- name: Everybody in payroll has his own account at the tax office
  holdfast.sso.application:
    name: tax-office
    type: individual
    enabled: true
    users: ["group:payroll"]
    fields:
      - name: password
        label: Password at the tax office
        masked: true
    flags:
      tickets_allowed: true
      ticket_timeout: 60

- name: The application and its data are gone
  holdfast.sso.application:
    name: legacy
    state: absent
    data_loss: accept
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
      description: The fields of its data, each with its name, whether it is masked, and its label.
      type: list
      elements: dict
    type:
      description: What it keeps.
      type: str
    flags:
      description: What else holds for it.
      type: dict
    version:
      description: Raised by each change. In check mode, the version before.
      type: int
plan:
  description: What the change does, in sentences. In check mode, what it would do.
  returned: success
  type: dict
  contains:
    changes:
      description: What changes. Empty when nothing does.
      type: list
      elements: str
    destroys:
      description: The stored data that is lost by it.
      type: list
      elements: str
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod
from ansible_collections.holdfast.sso.plugins.module_utils._views import application_view

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
            "label": {"type": "str", "default": ""},
        },
    },
    "type": {"type": "str", "choices": ["individual", "group", "host_group", "config_store"]},
    "flags": {
        "type": "dict",
        "options": {
            "tickets_allowed": {"type": "bool"},
            "tickets_validated": {"type": "bool"},
            "tickets_single_use": {"type": "bool"},
            "ticket_timeout": {"type": "int"},
            "credential_cache": {"type": "bool"},
        },
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "data_loss": {"type": "str", "choices": ["refuse", "accept"], "default": "refuse"},
}
# What the daemon replaces as a whole; the rest it leaves as it is when it is not named.
REPLACED: Fields = {"description": "", "contact": "", "administrators": [], "users": [], "fields": []}
KEPT = ("enabled", "type")


def absent(name: str) -> Fields:
    """What an application that is not there looks like."""
    return {"name": name, "state": "absent"}


def wanted_body(before: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]) -> Fields:
    """The application as the options want it: what is not given stays. Compare-and-set: who wrote since is not overwritten."""
    body = {
        name: before.get(name, default) if params[name] is None else params[name] for name, default in REPLACED.items()
    }
    body.update({name: params[name] for name in KEPT if params[name] is not None})
    flags = {name: value for name, value in (params["flags"] or {}).items() if value is not None}
    if flags:
        body["flags"] = flags
    return {**body, "data_loss": params["data_loss"], "if_version": before.get("version", 0)}


class Change:
    """One change of an application, as the daemon plans and makes it: it alone knows which data there is."""

    def __init__(self, api: Ssod, before: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]) -> None:
        self._api = api
        self._before = before
        self._params = params
        self.told: Fields = {"changes": [], "destroys": []}

    def foresee(self) -> Plan:
        """Refused here already when it would be refused: check mode tells the truth."""
        if self._params["state"] == "absent":
            if self._before["state"] == "absent":
                return Plan(changed=False, predicted=self._before)
            self.told = {"changes": ["the application is deleted"], "destroys": self._delete(dry_run=True)}
            return Plan(changed=True, predicted=absent(self._before["name"]))
        after = self._put(dry_run=True)
        return Plan(bool(self.told["changes"]), after)

    def make(self) -> Fields:
        if self._params["state"] == "absent":
            self._delete(dry_run=False)
            return absent(self._before["name"])
        return self._put(dry_run=False)

    def _put(self, dry_run: bool) -> Fields:
        answer = self._api.put(
            "applications", self._before["name"], body=wanted_body(self._before, self._params), dry_run=dry_run
        )
        self.told = answer.pop("plan")
        return application_view(answer)

    def _delete(self, dry_run: bool) -> list[str]:
        with_data = self._params["data_loss"] == "accept"
        return self._api.delete("applications", self._before["name"], with_data=with_data, dry_run=dry_run)["destroys"]


def find_application(api: Ssod, name: str) -> Fields:
    found = api.find("applications", name)
    return absent(name) if found is None else application_view(found)


def main() -> None:
    module = SsoModule(SPEC, returns="application")
    with module.reporting_errors():
        before = find_application(module.api, module.params["name"])
        change = Change(module.api, before, module.params)
        plan = change.foresee()
        after = module.carry_out(plan, change.make)
        module.finish(plan, before, after, plan=change.told)


if __name__ == "__main__":
    main()
