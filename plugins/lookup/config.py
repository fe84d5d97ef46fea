# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a template the values of an application's configuration; it says none of them to anybody else."""

from __future__ import annotations

DOCUMENTATION = r"""
name: config
author:
  - Holdfast maintainers (@holdfast)
short_description: Read a configuration of an application
version_added: 0.1.0
description:
  - Asks an SSO server for a configuration of an affiliate application, decrypted. Masked values are among them, so each call
    is audited as a disclosure.
options:
  _terms:
    description:
      - The configurations, each as C(APPLICATION/NAME).
    type: list
    elements: str
    required: true
  field:
    description:
      - Give the value of this field, in place of all of them by name.
    type: str
  reveal:
    description:
      - Whether masked values are given. Without them the call is no disclosure.
    type: bool
    default: true
extends_documentation_fragment:
  - holdfast.sso._lookup
seealso:
  - module: holdfast.sso.application_config
  - plugin: holdfast.sso.credential
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: The gateway's password is where the gateway looks for it
  ansible.builtin.copy:
    content: "{{ lookup('holdfast.sso.config', 'payroll/gateway', field='password') }}"
    dest: /etc/gateway/password
    mode: "0600"
  # The task's result would carry the content in its diff.
  no_log: true

- name: A whole configuration is a dictionary
  ansible.builtin.set_fact:
    gateway_host: "{{ lookup('holdfast.sso.config', 'payroll/gateway', reveal=false).host }}"

# Beforehand: ssh -N -L /run/user/1000/sso.sock:/run/ssod/ssod.sock s1.example.com
- name: Another host's server is asked through ssh
  ansible.builtin.set_fact:
    gateway_host: "{{ lookup('holdfast.sso.config', 'payroll/gateway', reveal=false, socket='/run/user/1000/sso.sock').host }}"
"""

RETURN = r"""
_raw:
  description: The values by the names of their fields, or with O(field) that value alone; one for each term.
  type: list
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.holdfast.sso.plugins.plugin_utils._lookup import asking, one_of


class LookupModule(LookupBase):
    """The lookup holdfast.sso.config."""

    def run(self, terms: t.Sequence[str], variables: t.Any = None, **kwargs: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=kwargs)
        with asking(self) as api:
            return [self._one(api, term) for term in terms]

    def _one(self, api: t.Any, term: str) -> t.Any:
        application, _unused, name = term.partition("/")
        query = {"reveal": "true"} if self.get_option("reveal") else {}
        found = api.get("applications", application, "config", name, **query)
        field = self.get_option("field")
        return found["properties"] if field is None else one_of(found["properties"], field, f"configuration {term}")
