#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a verified backup of the master secret in a file; a good older backup is never lost to a bad newer one."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_secret_backup
short_description: Keep a verified backup of the master secret in a file on the managed host
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Makes a backup of the whole keyring, encrypted with a passphrase or for recipients, as a standard C(age) file.
  - The backup is written beside O(path), read back from disk, decrypted and compared by key id. Only then does it take
    the place
    of an older one; there it is read back once more, and recorded as the environment's backup.
  - Beside it lies C(PATH.about.json), readable without the passphrase, with the key ids, the reminder and the file's
    SHA-256.
  - Nothing is done while the recorded backup covers every key of the keyring and the file at O(path) is still that
    backup, which the given passphrase opens. A file that is missing or altered, another reminder, another kind of
      protection, other O(recipients) and another passphrase make a new backup.
  - That a passphrase opens it can only be tried, which takes a second or two each time.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
attributes:
  safe_file_operations:
    description: Uses a temporary file and an atomic move, so that no half-written file is ever at O(path).
    support: full
options:
  path:
    description:
      - The backup file on the managed host. Its directory must exist.
      - Keep a copy of it, and of C(PATH.about.json), off this host.
    type: path
    required: true
  passphrase_file:
    description:
      - A file on the managed host with the passphrase. One trailing newline is left out.
      - It is refused if others than its owner can use it.
      - Exactly one of O(passphrase_file), O(passphrase) and O(recipients) is required.
    type: path
  passphrase:
    description:
      - The passphrase. Prefer O(passphrase_file), which keeps it out of Ansible.
    type: str
  recipients:
    description:
      - The C(age) recipients (C(age1...)) that can open the backup.
    type: list
    elements: str
  reminder:
    description:
      - Reminds people of the passphrase, or of where the identities are kept. It can be read without the passphrase.
    type: str
  place:
    description:
      - Where the backup is kept, in words that help a person in an incident to find it. Recorded with it.
      - By default the name of the managed host and O(path), with a colon between them.
    type: str
  mode:
    description:
      - The permissions of the backup file, as a quoted octal number.
    type: raw
    default: "0600"
  owner:
    description:
      - The user who owns the backup file. By default the user of the task.
    type: str
  group:
    description:
      - The group of the backup file.
    type: str
seealso:
  - module: holdfast.sso.master_secret
  - module: holdfast.sso.master_secret_restore
"""

EXAMPLES = r"""
- name: The master secret has a verified backup
  holdfast.sso.master_secret_backup:
    path: /var/lib/sso-backup/master-secret.age
    passphrase_file: /var/lib/sso-backup/backup-passphrase
    reminder: "the envelope in the safe, building 2"
    place: "m1:/var/lib/sso-backup, copied to the vault every night"

- name: The master secret has a backup that the two recovery officers can open
  holdfast.sso.master_secret_backup:
    path: /var/lib/sso-backup/master-secret.age
    recipients:
      - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
      - age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg
"""

RETURN = r"""
backup:
  description: The backup. In check mode, what is known of it.
  returned: success
  type: dict
  contains:
    path:
      description: The file.
      type: str
    about_path:
      description: The file beside it that tells what it is.
      type: str
    place:
      description: Where it is kept, as recorded.
      type: str
    sha256:
      description: The file's SHA-256.
      type: str
    current_key_id:
      description: The key id of the current secret in the backup.
      type: str
    key_ids:
      description: Every key id in the backup.
      type: list
      elements: str
    protection:
      description: V(passphrase) or V(recipients).
      type: str
    reasons:
      description: Why the backup was (in check mode, would be) made; empty if it was left alone.
      type: list
      elements: str
"""

import base64
import dataclasses
import json
import os
import platform
import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._credentials import PASSPHRASE_SPEC, opening_credential
from ansible_collections.holdfast.sso.plugins.module_utils._files import draft_of, own_as, read_bytes, sha256_of
from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import Ssod, SsodError

SPEC: dict[str, t.Any] = {
    **PASSPHRASE_SPEC,
    "path": {"type": "path", "required": True},
    "recipients": {"type": "list", "elements": "str"},
    "reminder": {"type": "str"},
    "place": {"type": "str"},
    "mode": {"type": "raw", "default": "0600"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
}
CREDENTIALS = ["passphrase_file", "passphrase", "recipients"]


def wanted_backup(params: t.Mapping[str, t.Any], hostname: str) -> Fields:
    """What the options ask for, with the defaults that depend on the host."""
    path = os.path.abspath(params["path"])
    return {
        "path": path,
        "about_path": path + ".about.json",
        "place": params["place"] or f"{hostname}:{path}",
        "protection": "recipients" if params["recipients"] else "passphrase",
        "recipients": sorted(set(params["recipients"] or ())),
        "reminder": params["reminder"] or "",
    }


def about_of(content: bytes | None) -> Fields:
    """The file beside the backup; a missing or unreadable one says nothing."""
    try:
        about = json.loads(content or b"{}")
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}


def why_made(secret: t.Mapping[str, t.Any], wanted: Fields, sha256: str | None, about: Fields) -> list[str]:
    """Every reason to make the backup (again); none when the recorded backup is this file and covers every key."""
    recorded = secret["backup"] or {}
    reasons = {
        "there is no file": sha256 is None,
        "no backup of the current secret is recorded": recorded.get("key_id") != secret["current_key_id"],
        "the file is not the recorded backup": sha256 is not None and sha256 != recorded.get("sha256"),
        "the file about it is missing or does not belong to it": sha256 is not None and sha256 != about.get("sha256"),
        "another secret is the current one in it": sha256 is not None and about.get("current_key_id") != secret["current_key_id"],
        "it does not hold every key": not _key_ids(secret) <= set(about.get("key_ids") or ()),
        "its reminder is another": (about.get("reminder") or "") != wanted["reminder"],
        "it is protected otherwise": about.get("protection") != wanted["protection"],
        "it is for other recipients": (about.get("recipients") or []) != wanted["recipients"],
    }
    return [reason for reason, holds in reasons.items() if holds]


def plan_backup(secret: t.Mapping[str, t.Any], wanted: Fields, sha256: str | None, reasons: list[str]) -> Plan:
    """Makes a backup if there is a reason to; its SHA-256 cannot be known before."""
    predicted = view(wanted, None if reasons else sha256, secret["current_key_id"], _key_ids(secret))
    return Plan(bool(reasons), {**predicted, "reasons": reasons})


def view(wanted: Fields, sha256: str | None, key_id: str | None, key_ids: t.Iterable[str]) -> Fields:
    """A backup as it is returned."""
    fields = {name: wanted[name] for name in ("path", "about_path", "place", "protection")}
    return {**fields, "sha256": sha256, "current_key_id": key_id, "key_ids": sorted(key_ids)}


def why_not_opened(module: SsoModule, wanted: Fields, sha256: str) -> list[str]:
    """The reason to make a backup again that only a trial tells: a passphrase that was lost and made anew.

    Without an identity there is no trial: for recipients, those that it was made for are compared. In check mode the task that
    brings the passphrase here has brought nothing.
    """
    file = module.params["passphrase_file"]
    if wanted["protection"] == "recipients" or (module.check_mode and file and not os.path.exists(file)):
        return []
    try:
        proof = {**opening_credential(module), "place": wanted["place"], "record": False}
        verify(module.api, wanted["path"], sha256, proof)
    except SsodError as error:
        if error.problem != "wrong-passphrase":
            raise
        return ["the passphrase does not open it"]
    return []


def make_backup(module: SsoModule, wanted: Fields) -> Fields:
    """Makes, writes, verifies, moves, and verifies again from where it will be looked for."""
    opening = opening_credential(module)
    request = dict(opening) if opening else {"recipients": module.params["recipients"]}
    if wanted["reminder"]:
        request["reminder"] = wanted["reminder"]
    made = module.api.post("secret", "backup", body=request)
    # Public keys. An age file does not tell whom it is for, so this is the only place where they can be read.
    told = {**made["about"], **({} if opening else {"recipients": wanted["recipients"]})}
    proof = {**opening, "place": wanted["place"]}

    with draft_of(wanted["path"]) as draft, draft_of(wanted["about_path"]) as about:
        draft.write(base64.b64decode(made["backup"]))
        about.write(json.dumps(told, indent=2, sort_keys=True).encode("utf-8") + b"\n")
        own_as(module, draft.path, module.params["mode"])
        own_as(module, about.path, "0644")
        # An older backup may still be at path: nothing takes its place before it has been proved to open.
        verify(module.api, draft.path, made["about"]["sha256"], {**proof, "record": False})
        draft.publish()
        about.publish()

    # Recorded only now, and from its own path: what the environment counts on must be where it says that it is.
    verified = verify(module.api, wanted["path"], made["about"]["sha256"], {**proof, "record": True})
    return view(wanted, verified["sha256"], verified["current_key_id"], verified["key_ids"])


def verify(api: Ssod, path: str, sha256: str, request: t.Mapping[str, t.Any]) -> Fields:
    """Checks that the bytes on disk are those that were made, and has them decrypted and compared by key id."""
    content = read_bytes(path)
    if content is None or sha256_of(content) != sha256:
        raise SsodError(
            "backup-damaged",
            f"what was read back from {path} is not the backup that was made",
            "check the disk and the file system (`dmesg`), then run the task again; nothing has been recorded",
        )
    return api.post("secret", "backup", "verify", body={**request, "backup": base64.b64encode(content).decode("ascii")})


def _key_ids(secret: t.Mapping[str, t.Any]) -> set[str]:
    return {key["key_id"] for key in secret["keys"]}


def main() -> None:
    module = SsoModule(SPEC, returns="backup", mutually_exclusive=[CREDENTIALS], required_one_of=[CREDENTIALS])
    with module.reporting_errors():
        wanted = wanted_backup(module.params, platform.node())
        secret = module.api.get("secret")
        sha256 = sha256_of(read_bytes(wanted["path"]))
        reasons = why_made(secret, wanted, sha256, about_of(read_bytes(wanted["about_path"])))
        if sha256 is not None and not reasons:
            reasons = why_not_opened(module, wanted, sha256)
        plan = plan_backup(secret, wanted, sha256, reasons)
        recorded = secret["backup"] or {}
        before = {"path": wanted["path"], "sha256": sha256, "current_key_id": recorded.get("key_id")}
        after = module.carry_out(plan, lambda: {**plan.predicted, **make_backup(module, wanted)})
        if not plan.changed:
            plan = dataclasses.replace(plan, changed=own_as(module, wanted["path"], module.params["mode"]))
        module.finish(plan, before, {name: after[name] for name in before}, result=after)


if __name__ == "__main__":
    main()
