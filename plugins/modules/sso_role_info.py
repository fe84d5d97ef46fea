#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads who has the environment-wide roles, in the shape in which the module sso_role takes them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: sso_role_info
short_description: Read who has the environment-wide roles
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads the members of one environment-wide role, or of all of them.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.info_attributes
  - holdfast.sso._ssod.actiongroup
options:
  role:
    description:
      - Read this role only.
    type: str
    choices: [sso_administrator, sso_affiliate_administrator, sso_auditor]
seealso:
  - module: holdfast.sso.sso_role
"""

EXAMPLES = r"""
- name: Read who has which role
  holdfast.sso.sso_role_info:
  register: result

- name: Name the SSO administrators
  ansible.builtin.debug:
    msg: "{{ result.roles | selectattr('role', 'eq', 'sso_administrator') | map(attribute='members') | flatten }}"
"""

RETURN = r"""
roles:
  description: The roles, in the shape of M(holdfast.sso.sso_role) and with C(configured), whom this server's file names.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._views import role_view


def main() -> None:
    roles = ["sso_administrator", "sso_affiliate_administrator", "sso_auditor"]
    module = SsoModule({"role": {"type": "str", "choices": roles}})
    with module.reporting_errors():
        only = module.params["role"]
        found = [role_view(each) for each in module.api.get("roles")["roles"]]
        module.report(roles=[each for each in found if only in (None, each["role"])])


if __name__ == "__main__":
    main()
