#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads who is the master, as the server on this host sees it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_server_info
short_description: Read who is the master secret server
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads who is the master, in which epoch, and what the server on the managed host is. Any caller may.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.info_attributes
  - holdfast.sso._ssod.actiongroup
seealso:
  - module: holdfast.sso.master_server
"""

EXAMPLES = r"""
- name: Read who is the master
  holdfast.sso.master_server_info:
  register: result

- name: Tell the epoch to promote from
  ansible.builtin.debug:
    msg: "{{ result.master.master }} in epoch {{ result.master.epoch }}"
"""

RETURN = r"""
master:
  description: The master as this server sees it, in the shape of M(holdfast.sso.master_server).
  returned: success
  type: dict
  contains:
    state:
      description: V(active) or V(inactive), of this server.
      type: str
    this_server:
      description: The name of the server on the managed host.
      type: str
    master:
      description: The name of the master, V(none) if there is none.
      type: str
    epoch:
      description: Raised by each change of master.
      type: int
    mastership:
      description: V(active), V(passive) or V(unconfirmed), of this server.
      type: str
    managed_by:
      description: V(operator) or V(cluster), whichever decides which server is the master.
      type: str
    may_become_master:
      description: Whether this server is a standby, or the master.
      type: bool
    sentence:
      description: The state of this server in one sentence.
      type: str
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._views import master_view


def main() -> None:
    module = SsoModule({})
    with module.reporting_errors():
        module.report(master=master_view(module.api.get("master")))


if __name__ == "__main__":
    main()
