#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what is known of the master secret: key ids, where they are held, and its backup."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_secret_info
short_description: Read the key ids of the master secret, and its backup
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Reads which master secret the environment has, which keys this server holds, and which backup was verified last.
  - Key ids are public. Keys are not returned by anything in this collection.
options:
  rotation:
    description:
      - Also count the values under each key, which tells how far a rotation is.
    type: bool
    default: false
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.info_attributes
  - holdfast.sso._ssod.actiongroup
seealso:
  - module: holdfast.sso.master_secret
  - module: holdfast.sso.master_secret_backup
"""

EXAMPLES = r"""
- name: Read the master secret's key ids
  holdfast.sso.master_secret_info:
  register: result

- name: Refuse to go on without a verified backup of the current secret
  ansible.builtin.assert:
    that: result.secret.backup.key_id | default('') == result.secret.current_key_id
    fail_msg: "the master secret {{ result.secret.current_key_id }} has no verified backup: run holdfast.sso.backup_secret"
"""

RETURN = r"""
secret:
  description: The master secret, by key ids.
  returned: success
  type: dict
  contains:
    state:
      description: V(present) or V(absent), as in M(holdfast.sso.master_secret).
      type: str
    environment_id:
      description: Which environment this is.
      type: str
    current_key_id:
      description: The key id of the current secret, V(none) if there is none.
      type: str
    epoch:
      description: Raised by each change of master.
      type: int
    generated_at:
      description: When the current secret was generated.
      type: str
    keyring:
      description: Every key of the keyring, with its key id, its state and when it was created.
      type: list
      elements: dict
    held_key_ids:
      description: The key ids that this server holds in memory.
      type: list
      elements: str
    sealed_key_id:
      description: The current key id of the sealed copy on this server's disk.
      type: str
    next_key_id:
      description: The key id of the secret that a rotation is to make current. V(none) if no rotation is being prepared.
      type: str
    backup:
      description: The last verified backup (its key id, when, where, its SHA-256 and how it is protected), V(none) if
        there is none.
      type: dict
rotation:
  description: How far a rotation is, if O(rotation) is true.
  returned: success
  type: dict
  contains:
    left:
      description: How many values are stored under a retired secret, and are to be brought under the current one.
      type: int
    counts:
      description: How many values are stored under each key id.
      type: dict
"""

from ansible_collections.holdfast.sso.plugins.module_utils._module import SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._views import secret_view


def main() -> None:
    module = SsoModule({"rotation": {"type": "bool", "default": False}})
    with module.reporting_errors():
        secret = secret_view(module.api.get("secret"))
        rotation = module.api.get("secret", "rotation") if module.params["rotation"] else None
        # In a template, rotation.values is the method of every dictionary.
        module.report(secret=secret, rotation=rotation and {"left": rotation["left"], "counts": rotation["values"]})


if __name__ == "__main__":
    main()
