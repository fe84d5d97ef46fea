#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the credential mappings of an application, without any credential: it cannot reveal."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: credential_mapping_info
short_description: Read the credential mappings of an application
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads one mapping of an application, those of one account outside, or all of them. Credentials are named, their values
    are not read.
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
  principal:
    description:
      - Read the mapping of this principal only. If it is absent, the list is empty.
    type: str
  external_id:
    description:
      - Read the mappings to this account only.
    type: str
seealso:
  - module: holdfast.sso.credential_mapping
"""

EXAMPLES = r"""
- name: Read who has an account at the tax office's gateway
  holdfast.sso.credential_mapping_info:
    application: tax-gateway
  register: result

- name: Name those without a password
  ansible.builtin.debug:
    msg: "{{ result.mappings | rejectattr('fields', 'contains', 'password') | map(attribute='principal') }}"
"""

RETURN = r"""
mappings:
  description:
    - The mappings, in the shape of M(holdfast.sso.credential_mapping), ordered by principal. With the C(fields) that are
      set, C(enabled), C(disabled_by_user), C(key_id), C(version) and C(updated_at).
  returned: success
  type: list
  elements: dict
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod
from ansible_collections.holdfast.sso.plugins.module_utils._views import mapping_view

# As many as the daemon gives at a time.
PAGE = 1000


def pages(api: Ssod, application: str, external_id: str | None) -> t.Iterator[t.Mapping[str, t.Any]]:
    """Each mapping, page by page; none of an absent application."""
    query = {"limit": str(PAGE)}
    if external_id is not None:
        query["external_id"] = external_id
    while True:
        answer = api.find("applications", application, "mappings", **query)
        if answer is None:
            return
        yield from answer["mappings"]
        if answer["next"] is None:
            return
        query["after"] = answer["next"]


def read_mappings(api: Ssod, application: str, principal: str | None, external_id: str | None) -> list[Fields]:
    """One mapping or none, or all that are wanted."""
    if principal is None:
        return [mapping_view(application, found) for found in pages(api, application, external_id)]
    one = api.find("applications", application, "mappings", principal)
    return [] if one is None else [mapping_view(application, one)]


def main() -> None:
    module = SsoModule(
        {"application": {"type": "str", "required": True}, "principal": {"type": "str"}, "external_id": {"type": "str"}},
        mutually_exclusive=[("principal", "external_id")],
    )
    with module.reporting_errors():
        wanted = (module.params["application"], module.params["principal"], module.params["external_id"])
        module.report(mappings=read_mappings(module.api, *wanted))


if __name__ == "__main__":
    main()
