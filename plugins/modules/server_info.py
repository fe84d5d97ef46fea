#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the state of this server, of the database, of the environment and of every enrolled server."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: server_info
short_description: Read the state of the SSO servers
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads the state of the server on the managed host, of the SSO database, of the environment and of every enrolled server.
    Any caller may.
options:
  selftest:
    description:
      - Also encrypt a random value under the current master secret and open it again, which fails exactly when encryption is
        refused. The module fails with that refusal.
    type: bool
    default: false
  revocations:
    description:
      - Also read the certificates that this server refuses now. An SSO administrator may.
    type: bool
    default: false
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.info_attributes
  - holdfast.sso._ssod.actiongroup
seealso:
  - module: holdfast.sso.server
  - module: holdfast.sso.master_server_info
"""

EXAMPLES = r"""
- name: Read the state of the servers
  holdfast.sso.server_info:
  register: result

- name: Refuse to go on while this server is detached
  ansible.builtin.assert:
    that: result.server.state == 'attached'
    fail_msg: "{{ result.server.sentence }}"

- name: Prove that this server encrypts and decrypts
  holdfast.sso.server_info:
    selftest: true
"""

RETURN = r"""
server:
  description: The server on the managed host, with its C(name), C(state), C(sentence), C(key_id), C(mastership) and more.
  returned: success
  type: dict
  contains:
    managed_by:
      description: V(operator) or V(cluster), whichever decides which server is the master.
      type: str
    mandate:
      description: Whether this server may act as the master by the word of C(managed_by). Always so for an operator.
      type: bool
    unfit:
      description:
        - Every reason, the database aside, why this server could not be the master. Empty when it is fit, and on a server
          that may not become master.
      type: list
      elements: str
    sealing:
      description:
        - Of this server's sealed copy, the name of the C(key) that seals it, the one that it is C(sealed_under) now, what is wrong as
          C(problem), and C(cache) on a plain server that keeps one.
      type: dict
    certificate:
      description:
        - The certificate that this server shows now, with its C(key), C(serial), C(days_left), C(issuer), the C(authorities)
          by which this server checks others, and whether it is C(revoked).
      type: dict
database:
  description: Whether the SSO database can be reached, and of which kind it is.
  returned: success
  type: dict
environment:
  description: The environment's master, epoch, current key id and last verified backup. V(none) while the database cannot
    be reached.
  returned: success
  type: dict
servers:
  description:
    - Every enrolled server, in the shape of M(holdfast.sso.server), with what it last reported.
    - V(none) while the database cannot be reached.
  returned: success
  type: list
  elements: dict
revocations:
  description:
    - The certificates that this server refuses, with C(name), C(key), C(serial), C(expires_at) and C(revoked_at).
    - V(none) when they were not asked for.
  returned: success
  type: list
  elements: dict
selftest:
  description: The proof, with the C(key_id) that was used and the C(micros) it took. V(none) when it was not asked for.
  returned: success
  type: dict
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._views import server_view


def main() -> None:
    module = SsoModule({"selftest": {"type": "bool", "default": False}, "revocations": {"type": "bool", "default": False}})
    with module.reporting_errors():
        proof = module.api.post("selftest", body={}) if module.params["selftest"] else None
        status = module.api.get("status")
        servers = status["servers"]
        module.report(
            server=status["server"],
            database=status["database"],
            environment=status["environment"],
            # None says "not known"; an empty list would say that no server is enrolled.
            servers=None if servers is None else [server_view(server) for server in servers],
            selftest=proof,
            revocations=module.api.get("revocations")["revocations"] if module.params["revocations"] else None,
        )


if __name__ == "__main__":
    main()
