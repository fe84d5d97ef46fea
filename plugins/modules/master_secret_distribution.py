#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each named server holds the current key id, or the task says which does not, and why."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: master_secret_distribution
short_description: Make sure that servers hold the current master secret
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Tells each named server to refresh from the master, waits, and compares by key id. Run it on the active master.
  - The task fails if a named server does not hold the current secret, and says of every one of them why. While a rotation is
    being prepared, it must hold the next secret too.
  - Servers refresh by themselves within about a second. This module is the proof, for instance before a rotation or after
    a promotion.
  - In check mode it only reads what the servers last reported to the database. A server that holds another secret is then
    reported
    as a change to come, not as a failure.
extends_documentation_fragment:
  - holdfast.sso._ssod
  - holdfast.sso._ssod.attributes
  - holdfast.sso._ssod.actiongroup
options:
  servers:
    description:
      - The names of the servers that must hold the current secret. By default all that are enrolled.
    type: list
    elements: str
  timeout:
    description:
      - How long a server may take, in seconds. C(ssod) takes up to 60.
    type: int
    default: 10
seealso:
  - module: holdfast.sso.master_secret
  - module: holdfast.sso.server
"""

EXAMPLES = r"""
- name: Every enrolled server holds the current master secret
  holdfast.sso.master_secret_distribution:

- name: Both standbys hold the current master secret
  holdfast.sso.master_secret_distribution:
    servers: [m2, m3]
    timeout: 30
"""

RETURN = r"""
distribution:
  description: What the servers hold. Also returned with a failure.
  returned: when the servers could be asked
  type: dict
  contains:
    key_id:
      description: The key id of the current secret.
      type: str
    next_key_id:
      description: The key id of the secret that a rotation is to make current, V(none) if there is none. Not in check mode.
      type: str
    servers:
      description: Each named server with its C(name), C(attached), C(key_id), C(epoch) and, unless in check mode,
        C(reachable), C(seconds) and C(detail).
      type: list
      elements: dict
"""

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields, Plan, SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError

SPEC: dict[str, t.Any] = {
    "servers": {"type": "list", "elements": "str"},
    "timeout": {"type": "int", "default": 10},
}
LAST_REPORTED = ("name", "attached", "key_id", "epoch")


def last_reported(status: t.Mapping[str, t.Any], names: t.Sequence[str] | None) -> Fields:
    """What the named servers last reported to the database; refuses names that are not enrolled, all at once."""
    if status["environment"] is None or status["servers"] is None:
        raise SsodError(
            "database-unavailable",
            f"the SSO database cannot be reached from here: {status['database'].get('detail') or 'no detail'}",
            "bring the database back; servers go on decrypting meanwhile",
        )
    if status["environment"]["current_key_id"] is None:
        # Without a current key id every server would "hold" it.
        raise SsodError("no-secret", "the environment has no master secret", "generate it with holdfast.sso.master_secret")
    enrolled = {server["name"]: server for server in status["servers"]}
    unknown = sorted(set(names or ()) - set(enrolled))
    if unknown:
        raise SsodError(
            "server-not-found",
            "not every named server is enrolled",
            f"enrol it with holdfast.sso.server, or name one of: {', '.join(sorted(enrolled))}",
            conditions=[f"{name} is not enrolled" for name in unknown],
        )
    chosen = [enrolled[name] for name in (sorted(enrolled) if names is None else names)]
    return {
        "key_id": status["environment"]["current_key_id"],
        "servers": [{field: server.get(field) for field in LAST_REPORTED} for server in chosen],
    }


def holders(distribution: t.Mapping[str, t.Any]) -> Fields:
    """Which key id each server holds, for comparing and for the diff."""
    return {server["name"]: server["key_id"] for server in distribution["servers"]}


def plan_distribution(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> Plan:
    """A change is a server that held another key id before and holds the current one now."""
    old, new = holders(before), holders(after)
    changed = any(new.get(name) == after["key_id"] and held != after["key_id"] for name, held in old.items())
    return Plan(changed, after)


def expected(before: t.Mapping[str, t.Any]) -> Fields:
    """What a distribution is for: every named server holds the current key id."""
    return {**before, "servers": [{**server, "key_id": before["key_id"]} for server in before["servers"]]}


def why_not(server: t.Mapping[str, t.Any], key_id: str | None, next_key_id: str | None = None) -> str | None:
    """Why a server does not count as holding the current secret, and that which is to be next; None if it does."""
    detail = f": {server['detail']}" if server.get("detail") else ""
    if not server["reachable"]:
        return f"{server['name']} cannot be reached{detail}"
    if server["key_id"] != key_id:
        return f"{server['name']} holds {server['key_id'] or 'no secret'}{detail}"
    if next_key_id is not None and next_key_id not in server["held_key_ids"]:
        return f"{server['name']} does not hold the next secret {next_key_id}{detail}"
    return None


def judge(answer: t.Mapping[str, t.Any], names: t.Sequence[str] | None) -> list[str]:
    """Every named server that does not hold the current secret, and why. A server without an answer is one of them."""
    answered = {server["name"] for server in answer["servers"]}
    silent = [f"{name} was not asked" for name in names or () if name not in answered]
    return silent + [reason for server in answer["servers"] for reason in [why_not(server, answer["key_id"], answer.get("next_key_id"))] if reason]


def distribute(module: SsoModule, names: t.Sequence[str] | None) -> Fields:
    """Tells the servers, waits, and fails with every one of them that is not where it should be."""
    timeout = module.params["timeout"]
    # The daemon asks all of them at once; the rest is for its own answer.
    answer = module.api.post("secret", "distribute", body={"servers": names, "timeout": timeout}, timeout=timeout + 30)
    missing = judge(answer, names)
    if missing:
        module.fail_json(
            msg=f"{len(missing)} of {len(answer['servers'])} servers do not hold the current master secret "
            f"{answer['key_id']}: {'; '.join(missing)}. Next: see `systemctl status ssod` on each, then run the task again.",
            problem="not-distributed",
            conditions=missing,
            distribution=answer,
        )
    return answer


def main() -> None:
    module = SsoModule(SPEC, returns="distribution")
    with module.reporting_errors():
        names = module.params["servers"]
        before = last_reported(module.api.get("status"), names)
        after = expected(before) if module.check_mode else distribute(module, names)
        module.finish(plan_distribution(before, after), holders(before), holders(after), result=after)


if __name__ == "__main__":
    main()
