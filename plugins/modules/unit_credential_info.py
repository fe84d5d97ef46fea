#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads which values of an application systemd units are given, in the shape in which unit_credential takes them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: unit_credential_info
short_description: Read which values systemd units are given
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads which values of an application's configurations systemd units are given as credentials, by name. No value is read.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.info_attributes
  - holdfast.sso._ssod.actiongroup
options:
  application:
    description:
      - The application's name. If it is absent, the list is empty.
    type: str
    required: true
seealso:
  - module: holdfast.sso.unit_credential
"""

EXAMPLES = r"""
- name: Read which units are given something of the payroll application
  holdfast.sso.unit_credential_info:
    application: payroll
  register: result
"""

RETURN = r"""
unit_credentials:
  description: The grants, in the shape of M(holdfast.sso.unit_credential), ordered by unit and name.
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._views import unit_credential_view


def main() -> None:
    module = SsoModule({"application": {"type": "str", "required": True}})
    with module.reporting_errors():
        found = module.api.find("applications", module.params["application"], "unit-credentials")
        granted = [] if found is None else found["unit_credentials"]
        module.report(unit_credentials=[unit_credential_view(each) for each in granted])


if __name__ == "__main__":
    main()
