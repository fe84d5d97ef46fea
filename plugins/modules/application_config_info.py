#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the configurations of an application, without what is masked: it cannot reveal."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: application_config_info
short_description: Read the configurations of an application
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads one configuration of an affiliate application, or all of them. Masked fields are named, their values left out.
  - This module cannot reveal masked values, because what a module returns is kept in logs and fact caches.
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
  name:
    description:
      - Read this configuration only. If it is absent, the list is empty.
    type: str
seealso:
  - module: holdfast.sso.application_config
"""

EXAMPLES = r"""
- name: Read how the payroll application reaches the gateway
  holdfast.sso.application_config_info:
    application: payroll
    name: gateway
  register: result

- name: Tell the gateway's host
  ansible.builtin.debug:
    msg: "{{ result.configs[0].properties.host }}"
  when: result.configs | length > 0
"""

RETURN = r"""
configs:
  description: The configurations, in the shape of M(holdfast.sso.application_config).
  returned: success
  type: list
  elements: dict
  contains:
    application:
      description: The application's name.
      type: str
    name:
      description: The configuration's name.
      type: str
    state:
      description: Always V(present).
      type: str
    version:
      description: Raised by each change.
      type: int
    properties:
      description: The fields that are not masked, and their values.
      type: dict
    masked:
      description: The names of the fields that are masked.
      type: list
      elements: str
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod
from ansible_collections.holdfast.sso.plugins.module_utils._views import config_view


def read_configs(api: Ssod, application: str, name: str | None) -> list[Fields]:
    """Every configuration that is there; one that goes away between the list and the reading is left out."""
    if name is not None:
        names = [name]
    else:
        listing = api.find("applications", application, "config")
        names = [config["name"] for config in listing["configs"]] if listing else []
    found = [api.find("applications", application, "config", each) for each in names]
    return [config_view(config) for config in found if config is not None]


def main() -> None:
    module = SsoModule({"application": {"type": "str", "required": True}, "name": {"type": "str"}})
    with module.reporting_errors():
        module.report(configs=read_configs(module.api, module.params["application"], module.params["name"]))


if __name__ == "__main__":
    main()
