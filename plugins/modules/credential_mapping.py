#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps one principal's account outside, with its credentials; names of credentials are shown, their values never."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: credential_mapping
short_description: Keep a credential mapping of an application
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Creates, changes or deletes the mapping between a principal and its account in the system outside that an application
    stands for,
    with the credentials of that account. They are encrypted under the master secret.
  - Options that are not given leave what is there.
  - The server compares the credentials and tells the names of those that change. No value is ever returned, in check mode
    or else.
  - Written with a compare-and-set, so that nobody who wrote at the same time is overwritten.
  - Nobody but the principal can read the credentials again. An administrator sets them.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  application:
    description:
      - The application's name. In check mode it may be absent, as a task before this one may make it.
    type: str
    required: true
  principal:
    description:
      - Whose mapping it is. C(user:UNIX-USER) or C(certificate:NAME) in an application of the type V(individual),
        C(group:UNIX-GROUP) or C(certificate:NAME) in one of the type V(group), C(certificate:HOST) in one of the type
        V(host_group).
    type: str
    required: true
  external_id:
    description:
      - The name of the account outside. Required for a new mapping.
      - In an application of the type V(individual) an account belongs to one principal only.
    type: str
  position:
    description:
      - In an application of the type V(group) the first mapping that fits a caller is that caller's; the lowest position is
        the first. A new mapping has V(0) unless told otherwise.
    type: int
  credentials:
    description:
      - The credentials of the account, by the application's fields. The values are strings (whole numbers are taken as well).
        All of them; one that is not here is removed.
      - Giving credentials to a mapping without any enables it.
    type: dict
  ciphertexts:
    description:
      - The same as O(credentials), as C(ssoctl export) wrote them.
    type: dict
  disabled_by_administrator:
    description:
      - Whether nobody is given the credentials, by the word of an administrator. What the user says about the own mapping is
        kept apart, and is not changed here.
      - A new mapping is disabled unless it is given credentials or told otherwise.
    type: bool
  state:
    description:
      - Whether the mapping is there. Credentials that are deleted with it cannot be brought back.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: holdfast.sso.application
  - module: holdfast.sso.credential_mapping_info
  - plugin: holdfast.sso.credential
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Alice has an account at the tax office's gateway
  holdfast.sso.credential_mapping:
    application: tax-gateway
    principal: user:alice
    external_id: A4711
    credentials:
      password: "{{ vault_alice_gateway_password }}"

- name: Nobody acts as Bob while he is away
  holdfast.sso.credential_mapping:
    application: tax-gateway
    principal: user:bob
    disabled_by_administrator: true

- name: Carol's mapping is gone
  holdfast.sso.credential_mapping:
    application: tax-gateway
    principal: user:carol
    state: absent
"""

RETURN = r"""
mapping:
  description: The mapping, without values. In check mode, as it would be.
  returned: success
  type: dict
  contains:
    application:
      description: The application's name.
      type: str
    principal:
      description: Whose mapping it is.
      type: str
    state:
      description: V(present) or V(absent). Nothing below is returned for an absent mapping.
      type: str
    external_id:
      description: The name of the account outside.
      type: str
    position:
      description: Where it stands among those of a group.
      type: int
    enabled:
      description: Whether the credentials are given out, that is, neither of the two below.
      type: bool
    disabled_by_user:
      description: Whether the user has disabled it.
      type: bool
    disabled_by_administrator:
      description: Whether an administrator has disabled it.
      type: bool
    fields:
      description: The names of the credentials that are set.
      type: list
      elements: str
    version:
      description: Raised by each change.
      type: int
changes:
  description:
    - The names of the credentials that were, or in check mode would be, C(added), C(changed) and C(removed), and under
      C(mapping) the names of what else changes.
  returned: success
  type: dict
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule, chosen
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError
from ansible_collections.holdfast.sso.plugins.module_utils._values import sealed_or_texts
from ansible_collections.holdfast.sso.plugins.module_utils._views import mapping_view

NAMED = ("application", "principal")
SHOWN = (
    *NAMED,
    "state",
    "external_id",
    "position",
    "enabled",
    "disabled_by_user",
    "disabled_by_administrator",
    "fields",
    "version",
)
KINDS = ("added", "changed", "removed", "mapping")
SPEC: dict[str, t.Any] = {
    "application": {"type": "str", "required": True},
    "principal": {"type": "str", "required": True},
    "external_id": {"type": "str"},
    "position": {"type": "int"},
    "credentials": {"type": "dict", "no_log": True},
    "ciphertexts": {"type": "dict", "no_log": False},
    "disabled_by_administrator": {"type": "bool"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def find_mapping(module: SsoModule) -> Fields:
    """The mapping by what is public of it; absent is what one that is not there is."""
    application, principal = module.params["application"], module.params["principal"]
    found = module.api.find("applications", application, "mappings", principal)
    if found is None:
        return {"application": application, "principal": principal, "state": "absent"}
    return chosen(mapping_view(application, found), SHOWN)


def wanted_body(before: t.Mapping[str, t.Any], params: t.Mapping[str, t.Any], values: t.Mapping[str, t.Any]) -> Fields:
    """The mapping as the options want it: what is not given stays, or has the default of a new one."""
    external_id = params["external_id"] if params["external_id"] is not None else before.get("external_id")
    if external_id is None:
        raise SsodError(
            "invalid-value",
            f"{before['principal']} has no mapping in {before['application']} yet, and a new one needs external_id",
            "say external_id",
        )
    position = params["position"] if params["position"] is not None else before.get("position", 0)
    return {
        "external_id": external_id,
        "position": position,
        # None leaves it as it is, and a new mapping to what becomes of its credentials: the daemon's to decide.
        "disabled_by_administrator": params["disabled_by_administrator"],
        # Compare-and-set: somebody who wrote since we read is not overwritten.
        "if_version": before.get("version", 0),
        **values,
    }


def first_answer(before: t.Mapping[str, t.Any], body: t.Mapping[str, t.Any]) -> Fields:
    """What the daemon says of a first mapping."""
    fields = sorted(body.get("credentials") or body.get("ciphertexts") or ())
    disabled = body["disabled_by_administrator"]
    disabled = not fields if disabled is None else disabled
    return {
        "principal": before["principal"],
        "external_id": body["external_id"],
        "position": body["position"],
        "enabled": not disabled,
        "disabled_by_user": False,
        "disabled_by_administrator": disabled,
        "fields": fields,
        "version": 1,
        "changes": {"added": fields, "changed": [], "removed": [], "mapping": []},
    }


def plan_present(before: Fields, answer: t.Mapping[str, t.Any]) -> Plan:
    """What the daemon changed or, in check mode, would change."""
    changed = before["state"] == "absent" or any(answer["changes"][kind] for kind in KINDS)
    return Plan(changed, chosen(mapping_view(before["application"], answer), SHOWN))


def plan_absent(before: Fields) -> Plan:
    """What is there is deleted."""
    return Plan(before["state"] != "absent", {**chosen(before, NAMED), "state": "absent"})


def marked(after: Fields, changes: t.Mapping[str, t.Sequence[str]]) -> Fields:
    """A mapping for the diff, where a changed credential could not be told by its name alone."""
    marks = {field: kind for kind in ("added", "changed") for field in changes[kind]}
    return {**after, "fields": [f"{field} ({marks[field]})" if field in marks else field for field in after["fields"]]}


def write(module: SsoModule, before: Fields, body: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The daemon compares, and in check mode only compares: what is stored is never read here."""
    application, principal = before["application"], before["principal"]
    if module.check_mode and before["state"] == "absent" and module.api.find("applications", application) is None:
        module.warn(f"the application {application} is absent: check mode expects an earlier task to make it")
        return first_answer(before, body)
    return module.api.put("applications", application, "mappings", principal, body=body, dry_run=module.check_mode)


def main() -> None:
    module = SsoModule(SPEC, returns="mapping", mutually_exclusive=[("credentials", "ciphertexts")])
    with module.reporting_errors():
        values = sealed_or_texts(module, "credentials")
        before = find_mapping(module)
        if module.params["state"] == "present":
            answer = write(module, before, wanted_body(before, module.params, values))
            plan, changes = plan_present(before, answer), answer["changes"]
            shown = marked(plan.predicted, changes)
        else:
            plan = plan_absent(before)
            address = ("applications", before["application"], "mappings", before["principal"])
            module.carry_out(plan, lambda: module.api.delete(*address))
            shown = plan.predicted
            changes = {"added": [], "changed": [], "removed": before.get("fields", []), "mapping": []}
        module.finish(plan, before, shown, result=plan.predicted, changes=changes)


if __name__ == "__main__":
    main()
