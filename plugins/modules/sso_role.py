#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps the members of an environment-wide role."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sso_role
short_description: Keep the members of an environment-wide role
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Says who administers the whole environment, who administers its applications, and who audits it, on every server.
  - The configuration file of a server may name more. Those count on that server whatever this module does, so that nobody
    can be locked out of it.
  - A change by which the caller would cease to be an SSO administrator is refused.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  role:
    description:
      - The role.
      - V(sso_administrator) may do everything, V(sso_affiliate_administrator) keeps applications, and V(sso_auditor) looks and
        never sees a value.
    type: str
    choices: [sso_administrator, sso_affiliate_administrator, sso_auditor]
    required: true
  members:
    description:
      - Who has it, each as C(group:UNIX-GROUP), C(user:UNIX-USER) or C(certificate:NAME). The whole list; empty for nobody.
    type: list
    elements: str
    required: true
seealso:
  - module: holdfast.sso.sso_role_info
  - module: holdfast.sso.application
"""

EXAMPLES = r"""
- name: Security audits the environment, over the socket and from a host of its own
  holdfast.sso.sso_role:
    role: sso_auditor
    members: ["group:security", "certificate:audit.example.com"]

- name: Nobody administers applications beside the SSO administrators
  holdfast.sso.sso_role:
    role: sso_affiliate_administrator
    members: []
"""

RETURN = r"""
role:
  description: The role. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    role:
      description: Its name.
      type: str
    members:
      description: Who has it on every server, in alphabetical order.
      type: list
      elements: str
    configured:
      description: Who has it on this server by its configuration file.
      type: list
      elements: str
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod
from ansible_collections.holdfast.sso.plugins.module_utils._views import role_view

SPEC: dict[str, t.Any] = {
    "role": {
        "type": "str",
        "choices": ["sso_administrator", "sso_affiliate_administrator", "sso_auditor"],
        "required": True,
    },
    "members": {"type": "list", "elements": "str", "required": True},
}


def find_role(api: Ssod, name: str) -> Fields:
    """Every role is there, if only with nobody in it."""
    return next(role_view(each) for each in api.get("roles")["roles"] if each["role"] == name)


def main() -> None:
    module = SsoModule(SPEC, returns="role")
    with module.reporting_errors():
        name, body = module.params["role"], {"members": module.params["members"]}
        before = find_role(module.api, name)
        # The daemon's dry run, because it alone knows whom the change would lock out.
        foreseen = module.api.put("roles", name, body=body, dry_run=True)
        plan = Plan(any(foreseen["changes"].values()), role_view(foreseen))
        after = module.carry_out(plan, lambda: role_view(module.api.put("roles", name, body=body)))
        module.finish(plan, before, after)


if __name__ == "__main__":
    main()
