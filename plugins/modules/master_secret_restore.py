#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a server the keys of a backup; the server decides whether they fit, and whether it needs them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_secret_restore
short_description: Restore the master secret from a backup file
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Gives the server on the managed host the keyring of a backup, so that it can become the master.
  - The server checks the keys against the database before it takes them. A backup that is damaged, of another environment or
    too old is refused, with every reason.
  - Nothing is done if the server already holds every key that the database needs.
  - Restoring does not make the server the master. Use M(holdfast.sso.master_server) next.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  path:
    description:
      - The backup file on the managed host.
    type: path
    required: true
  passphrase_file:
    description:
      - A file on the managed host with the passphrase. One trailing newline is left out.
      - It is refused if others than its owner can use it.
      - Exactly one of O(passphrase_file), O(passphrase), O(identity_file) and O(share_files) is required.
    type: path
  passphrase:
    description:
      - The passphrase. Prefer O(passphrase_file), which keeps it out of Ansible.
    type: str
  identity_file:
    description:
      - A file on the managed host with one C(age) identity (C(AGE-SECRET-KEY-1...)), as C(age-keygen) writes it, for a
        backup made for recipients.
      - It is refused if others than its owner can use it.
    type: path
  share_files:
    description:
      - Files on the managed host with shares of the identity, as their holders opened them, as many as it takes.
      - Each is refused if others than its owner can use it.
    type: list
    elements: path
seealso:
  - module: holdfast.sso.master_secret_backup
  - module: holdfast.sso.master_server
"""

EXAMPLES = r"""
- name: See whether the backup would be accepted
  holdfast.sso.master_secret_restore:
    path: /var/lib/sso-backup/master-secret.age
    passphrase_file: /var/lib/sso-backup/backup-passphrase
  check_mode: true

- name: The standby holds the master secret
  holdfast.sso.master_secret_restore:
    path: /var/lib/sso-backup/master-secret.age
    passphrase_file: /var/lib/sso-backup/backup-passphrase
"""

RETURN = r"""
restored:
  description: What the server holds, or in check mode would hold.
  returned: success
  type: dict
  contains:
    path:
      description: The backup file.
      type: str
    current_key_id:
      description: The key id of the current secret.
      type: str
    key_ids:
      description: Every key id in the backup.
      type: list
      elements: str
"""

import base64
import os
import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._credentials import PASSPHRASE_SPEC, opening_credential
from ansible_collections.holdfast.sso.plugins.module_utils._files import read_bytes
from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError

SPEC: dict[str, t.Any] = {
    **PASSPHRASE_SPEC,
    "path": {"type": "path", "required": True},
    # As with passphrase_file: the path is no secret.
    "identity_file": {"type": "path", "no_log": False},
    "share_files": {"type": "list", "elements": "path", "no_log": False},
}
CREDENTIALS = ["passphrase_file", "passphrase", "identity_file", "share_files"]


def read_backup(path: str) -> str:
    """The backup file in base64. A missing one is an error: there is nothing else to restore from."""
    content = read_bytes(path)
    if content is None:
        raise SsodError(
            "file-unusable",
            f"there is no backup file {path} on this host",
            "copy it here; where it is kept was recorded as its place (GET /v1/status: backup_place)",
        )
    return base64.b64encode(content).decode("ascii")


def plan_restore(answer: t.Mapping[str, t.Any], path: str) -> Plan:
    """The daemon's own answer: it alone knows which keys the database needs."""
    restored: Fields = {"path": path, "current_key_id": answer["current_key_id"], "key_ids": sorted(answer["key_ids"])}
    return Plan(changed=answer["changed"], predicted=restored)


def main() -> None:
    module = SsoModule(SPEC, returns="restored", mutually_exclusive=[CREDENTIALS], required_one_of=[CREDENTIALS])
    with module.reporting_errors():
        path = os.path.abspath(module.params["path"])
        body = {**opening_credential(module), "backup": read_backup(path), "dry_run": module.check_mode}
        plan = plan_restore(module.api.post("secret", "restore", body=body), path)
        after = plan.predicted
        module.finish(plan, {} if plan.changed else after, after)


if __name__ == "__main__":
    main()
