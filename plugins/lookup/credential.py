# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a template the caller's own credentials in an application; it says none of them to anybody else."""

from __future__ import annotations

DOCUMENTATION = r"""
name: credential
author:
  - Holdfast maintainers (@holdfast)
short_description: Look up one's own credentials in an application
version_added: 0.1.0
description:
  - Asks an SSO server for the caller's own credentials in an affiliate application, decrypted. Nobody can look up another's.
  - Each call is audited as a disclosure.
options:
  _terms:
    description:
      - The names of the applications.
    type: list
    elements: str
    required: true
  field:
    description:
      - Give this credential, in place of the account with all of them.
    type: str
extends_documentation_fragment:
  - holdfast.sso._lookup
seealso:
  - module: holdfast.sso.credential_mapping
  - plugin: holdfast.sso.config
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Log in to the tax office's gateway as the account of whoever runs this playbook
  ansible.builtin.uri:
    url: https://gateway.example.com/login
    url_username: "{{ account.external_id }}"
    url_password: "{{ account.credentials.password }}"
  vars:
    account: "{{ lookup('holdfast.sso.credential', 'tax-gateway') }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description:
    - The account as C(external_id) and C(credentials), a dictionary by the names of the fields; or with O(field) that
      credential alone. One for each term.
  type: list
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.holdfast.sso.plugins.plugin_utils._lookup import asking, one_of


class LookupModule(LookupBase):
    """The lookup holdfast.sso.credential."""

    def run(self, terms: t.Sequence[str], variables: t.Any = None, **kwargs: t.Any) -> list[t.Any]:
        self.set_options(var_options=variables, direct=kwargs)
        with asking(self) as api:
            return [self._one(api, term) for term in terms]

    def _one(self, api: t.Any, application: str) -> t.Any:
        found = api.get("applications", application, "credentials")
        field = self.get_option("field")
        if field is None:
            return {name: found[name] for name in ("external_id", "credentials")}
        return one_of(found["credentials"], field, f"the mapping of {found['principal']} in {application}")
