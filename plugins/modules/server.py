#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Enrols a server in the SSO database, or removes it: only enrolled servers are given the keyring."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: server
short_description: Enrol an SSO server, or remove it
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Enrols a server in the SSO database. Only enrolled servers are given the keyring.
  - The certificates of a removed server are refused by every server, within a second. What it holds already it keeps until
    it stops, so rotate the master secret if it is not trusted any more.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  name:
    description:
      - The server's name, which is the first DNS name of its certificate.
    type: str
    required: true
  address:
    description:
      - Where the other servers reach it, as C(HOST:PORT). Required to enrol it.
    type: str
  may_become_master:
    description:
      - Whether it is a standby (or the master), which keeps a sealed copy of the keyring.
      - If not given, an enrolled server stays what it is, and a new one is not a standby.
    type: bool
  state:
    description:
      - V(enrolled) or V(removed). The master cannot be removed.
    type: str
    choices: [enrolled, removed]
    default: enrolled
seealso:
  - module: holdfast.sso.server_info
  - module: holdfast.sso.master_secret_distribution
"""

EXAMPLES = r"""
- name: The standby is enrolled
  holdfast.sso.server:
    name: m2
    address: 10.77.1.12:7443
    may_become_master: true

- name: The server is not given the keyring any more
  holdfast.sso.server:
    name: s7
    state: removed
"""

RETURN = r"""
server:
  description: The server. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    revoked:
      description:
        - With O(state=removed), the certificates of this name that every server refuses, with C(key), C(serial), C(expires_at)
          and C(revoked_at). In check mode, those that are refused already.
      type: list
      elements: dict
    name:
      description: Its name.
      type: str
    state:
      description: V(enrolled) or V(removed).
      type: str
    address:
      description: Where the other servers reach it.
      type: str
    may_become_master:
      description: Whether it is a standby, or the master.
      type: bool
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError
from ansible_collections.holdfast.sso.plugins.module_utils._views import server_view

SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str"},
    "may_become_master": {"type": "bool"},
    "state": {"type": "str", "choices": ["enrolled", "removed"], "default": "enrolled"},
}
SHOWN = ("name", "state", "address", "may_become_master")


def find_server(servers: t.Iterable[t.Mapping[str, t.Any]], name: str) -> Fields:
    """The server of this name in our shape; removed is what a server that is not there is."""
    for server in servers:
        if server["name"] == name:
            return chosen(server_view(server), SHOWN)
    return {"name": name, "state": "removed"}


def plan_server(before: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any]) -> Plan:
    """Options that are not given leave what is there."""
    if params["state"] == "removed":
        return Plan(before["state"] != "removed", {"name": before["name"], "state": "removed"})
    may_become_master = params["may_become_master"]
    if may_become_master is None:
        may_become_master = before.get("may_become_master", False)
    after = {
        "name": before["name"],
        "state": "enrolled",
        "address": params["address"],
        "may_become_master": may_become_master,
    }
    return Plan(before != after, after)


def refuse_to_remove_master(name: str, environment: t.Mapping[str, t.Any] | None) -> None:
    """Refused here as well as by the daemon, which has no dry run for it: check mode must tell the truth."""
    if environment is not None and environment["master"] == name:
        next_step = "make another server the master first (holdfast.sso.master_server)"
        raise SsodError("server-is-master", f"{name} is the master and cannot be removed", next_step)


def apply(module: SsoModule, plan: Plan) -> Fields:
    wanted = plan.predicted
    if wanted["state"] == "removed":
        module.api.delete("servers", wanted["name"])
    else:
        module.api.put("servers", wanted["name"], body=chosen(wanted, ("address", "may_become_master")))
    return find_server(module.api.get("servers")["servers"], wanted["name"])


def main() -> None:
    module = SsoModule(SPEC, returns="server", required_if=[("state", "enrolled", ("address",))])
    with module.reporting_errors():
        before = find_server(module.api.get("servers")["servers"], module.params["name"])
        plan = plan_server(before, module.params)
        if plan.changed and plan.predicted["state"] == "removed":
            refuse_to_remove_master(before["name"], module.api.get("status")["environment"])
        after = module.carry_out(plan, lambda: apply(module, plan))
        result = None
        if after["state"] == "removed":
            refused = module.api.get("revocations")["revocations"]
            result = {**after, "revoked": [each for each in refused if each["name"] == after["name"]]}
        module.finish(plan, before, after, result)


if __name__ == "__main__":
    main()
