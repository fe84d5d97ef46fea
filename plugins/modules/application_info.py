#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads affiliate applications, in the shape in which the module application takes them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: application_info
short_description: Read affiliate applications
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads one affiliate application, or all that the caller may see.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.info_attributes
  - holdfast.sso._ssod.actiongroup
options:
  name:
    description:
      - Read this application only. If it is absent, the list is empty.
    type: str
seealso:
  - module: holdfast.sso.application
"""

EXAMPLES = r"""
- name: Read every application
  holdfast.sso.application_info:
  register: result

- name: Name the applications that are disabled
  ansible.builtin.debug:
    msg: "{{ result.applications | rejectattr('enabled') | map(attribute='name') }}"
"""

RETURN = r"""
applications:
  description: The applications, in the shape of M(holdfast.sso.application) and with their C(version).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod
from ansible_collections.holdfast.sso.plugins.module_utils._views import application_view


def read_applications(api: Ssod, name: str | None) -> list[Fields]:
    """One application or none if it is absent, or all that the caller may see."""
    if name is None:
        return [application_view(found) for found in api.get("applications")["applications"]]
    one = api.find("applications", name)
    return [] if one is None else [application_view(one)]


def main() -> None:
    module = SsoModule({"name": {"type": "str"}})
    with module.reporting_errors():
        module.report(applications=read_applications(module.api, module.params["name"]))


if __name__ == "__main__":
    main()
