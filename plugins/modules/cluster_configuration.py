#!/usr/bin/python

# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts elements into the configuration of a Pacemaker cluster, or takes them out; what it is not told of stays as it is."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: cluster_configuration
short_description: Put elements into the configuration of a Pacemaker cluster, or take them out
version_added: 0.1.0
author:
  - Holdfast maintainers (@holdfast)
description:
  - Takes the cluster's present configuration (its CIB), puts in the elements that it is given, and pushes once. An element
    is known by its id and replaced as a whole where it differs; everything else in the cluster is left as it was found.
  - Nothing is pushed over somebody else's change. If the CIB has changed since it was read, it is read and compared anew.
  - Works with Pacemaker 2.1 and 3.0. Run it on one member of the cluster, as V(root).
  - Values whose name has C(pass), C(secret), C(token) or C(key) in it are masked in the diff, and O(xml) is shown nowhere.
options:
  xml:
    description:
      - A C(configuration) element with sections as C(resources), C(constraints), C(rsc_defaults) and C(op_defaults) in it.
        Every element directly below a section needs an id.
      - For properties of the cluster use O(properties); a section C(crm_config) is refused, since the cluster writes there too.
    type: str
    default: "<configuration/>"
  owned:
    description:
      - A C(configuration) element with everything that O(xml) may ever have had in it; the ids are enough. What is there of it, and
        not in O(xml) now, is removed by the same push, as with O(state=absent).
    type: str
    default: "<configuration/>"
  properties:
    description:
      - Properties of the cluster, such as C(stonith-enabled). Those that are not named are left alone.
    type: dict
    default: {}
  state:
    description:
      - V(present) adds or replaces the elements.
      - V(absent) removes the elements that have these ids, and the constraints which C(crm_resource --move) and
        C(--ban) have left for them. Pacemaker stops what was running. Their history and promotion scores are removed after that.
    type: str
    choices: [present, absent]
    default: present
  wait:
    description:
      - Seconds to wait, after a change, until the cluster has nothing left to do. V(0) does not wait.
    type: int
    default: 60
requirements:
  - Pacemaker's command-line tools (Debian's C(pacemaker-cli-utils)) and a running, quorate cluster.
attributes:
  check_mode:
    description: Can run in C(check_mode) and tell whether it would change something, without changing it.
    support: full
    details:
      - What Pacemaker's schema would refuse is refused in check mode too.
  diff_mode:
    description: Shows what changed in diff mode. Secrets of fence devices are masked.
    support: full
  idempotent:
    description: Run a second time with the same options, it changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: An address that the cluster keeps on one member
  holdfast.sso.cluster_configuration:
    xml: |
      <configuration>
        <resources>
          <primitive id="service-address" class="ocf" provider="heartbeat" type="IPaddr2">
            <instance_attributes id="service-address-attributes">
              <nvpair id="service-address-ip" name="ip" value="192.0.2.50"/>
              <nvpair id="service-address-prefix" name="cidr_netmask" value="24"/>
            </instance_attributes>
          </primitive>
        </resources>
      </configuration>
    properties:
      stonith-enabled: true

- name: Show what would change
  holdfast.sso.cluster_configuration:
    xml: "{{ lookup('ansible.builtin.template', 'resources.xml.j2') }}"
  check_mode: true
  diff: true

- name: What the template had before, and has no more, goes
  holdfast.sso.cluster_configuration:
    xml: "{{ lookup('ansible.builtin.template', 'resources.xml.j2') }}"
    owned: '<configuration><resources><primitive id="service-address"/></resources></configuration>'

- name: The address is gone
  holdfast.sso.cluster_configuration:
    xml: '<configuration><resources><primitive id="service-address"/></resources></configuration>'
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed; in check mode, what would be.
  returned: success
  type: list
  elements: dict
  contains:
    action:
      description: V(add), V(replace) or V(remove).
      type: str
    section:
      description: The section, such as C(resources).
      type: str
    id:
      description: The element's id.
      type: str
faults:
  description: Every reason for a refusal.
  returned: when the configuration is refused
  type: list
  elements: str
"""

import contextlib
import os
import re
import tempfile
import typing as t
import xml.etree.ElementTree as ET

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.sso.plugins.module_utils._cib import (
    Change,
    Refused,
    changed_cib,
    left_over,
    masked,
    plan_absent,
    plan_present,
    read_wish,
    shown,
)

SPEC: dict[str, t.Any] = {
    # Parameters of fence devices are in it: it is in no result and no log.
    "xml": {"type": "str", "default": "<configuration/>", "no_log": True},
    "owned": {"type": "str", "default": "<configuration/>"},
    "properties": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "wait": {"type": "int", "default": 60},
}
# Exit codes of Pacemaker's tools (crm_exit_t).
NOT_CONFORMING = 78
NOT_CONNECTED = 102
WAS_OLDER = 103
NO_QUORUM = 106
TIMED_OUT = 124
ATTEMPTS = 20


class Cluster:
    """Pacemaker's tools on this member."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module

    def run(self, *words: str, data: str | None = None, environment: dict[str, str] | None = None) -> tuple[int, str, str]:
        tool = self._module.get_bin_path(words[0])
        if tool is None:
            raise Refused([f"{words[0]} is not installed here"], "run this on a member of the cluster (Debian: pacemaker-cli-utils)")
        return self._module.run_command([tool, *words[1:]], data=data, environ_update={"LC_ALL": "C", **(environment or {})})

    def read(self) -> ET.Element:
        """The whole CIB: its version is what a push is checked against."""
        code, out, err = self.run("cibadmin", "--query")
        if code != 0:
            faults = ["the cluster is not running on this host" if code == NOT_CONNECTED else "the configuration cannot be read"]
            raise Refused(faults, f"see `systemctl status corosync pacemaker` here (cibadmin: {_last_line(err or out)})")
        cib = ET.fromstring(out)
        if cib.get("have-quorum") != "1":
            raise Refused(
                ["the cluster has no quorum here, so its configuration must not be changed"],
                "bring the missing members or the quorum device back; see `corosync-quorumtool` and `crm_mon -1`",
            )
        return cib

    @contextlib.contextmanager
    def files(self, *trees: ET.Element) -> t.Iterator[list[str]]:
        """Each tree in a file that only its owner can read, for as long as the tools need it."""
        paths = []
        try:
            for tree in trees:
                descriptor, path = tempfile.mkstemp(prefix="cib-", suffix=".xml", dir=self._module.tmpdir)
                paths.append(path)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(ET.tostring(tree))
            yield paths
        finally:
            for path in paths:
                os.unlink(path)

    def push(self, cib: ET.Element, new: ET.Element) -> bool:
        """Replaces the one by the other, in check mode only in a copy; False if the CIB is no longer the one that was read."""
        with self.files(cib, new) as (old_path, new_path):
            code, patch, err = self.run("crm_diff", "--original", old_path, "--new", new_path)
            if code not in (0, 1):
                raise Refused([f"crm_diff could not compare: {masked(_last_line(err), new)}"], "report this")
            # The same tool, and so the same schema: what would be refused is refused in check mode too.
            target = {"CIB_file": old_path} if self._module.check_mode else None
            code, out, err = self.run("cibadmin", "--patch", "--xml-pipe", data=patch, environment=target)
            if code == NOT_CONFORMING:
                unused, out, err = self.run("crm_verify", "--xml-file", new_path)
                raise Refused(_schema_faults(masked(out + err, cib, new)), "correct the template that it comes from. Nothing was changed")
        if code == NO_QUORUM:
            raise Refused(["the cluster lost its quorum meanwhile"], "see `corosync-quorumtool`. Nothing was changed")
        if code not in (0, WAS_OLDER):
            raise Refused([f"cibadmin refused: {masked(_last_line(err or out), cib, new)}"], "see `crm_mon -1` here. Nothing was changed")
        return code == 0

    def wait(self, seconds: int) -> None:
        """Until the cluster has nothing left to do."""
        code, out, err = self.run("crm_resource", "--wait", f"--timeout={seconds}s")
        if code != 0:
            pending = [line.strip() for line in (out + "\n" + err).splitlines() if line.strip().startswith("Action")]
            what = "the cluster has the new configuration, but is not done with it"
            why = f" after {seconds} s" if code == TIMED_OUT else f": {_last_line(err or out)}"
            raise Refused([what + why, *pending], "see `crm_mon -1rf`; run this again when the cause is removed")

    def forget(self, names: t.Iterable[str]) -> None:
        """Removes what the cluster remembers of resources that are no more: history, and transient attributes named after them."""
        status = ET.fromstring(self.run("cibadmin", "--query")[1]).find("status")
        for name in names:
            remembered = [node for node in status if any(row.get("id") == name for row in node.iter("lrm_resource"))]
            if remembered:
                self.run("crm_resource", "--refresh", "--force", "--resource", name)
            for node in status:
                for pair in node.iterfind("transient_attributes/instance_attributes/nvpair"):
                    if pair.get("name") == f"master-{name}":
                        self.run("attrd_updater", "--delete", "--name", f"master-{name}", "--node", node.get("uname", ""))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("<", "0", "1"))]
    return lines[-1] if lines else "no message"


def _schema_faults(text: str) -> list[str]:
    """The sentences about the schema, out of much else; the first is nearest to the cause."""
    sentences = [line.split("validity error :")[-1].strip() for line in text.splitlines() if line.strip()]
    faults = [line for line in sentences if re.search(r"expect|Invalid|Element|attribute|content|failed to validate", line)]
    return [f"Pacemaker's schema refuses it: {line}" for line in faults[:3]] or ["Pacemaker's schema refuses it"]


def configure(cluster: Cluster, plan: t.Callable[[ET.Element], list[Change]]) -> list[Change]:
    """Reads, decides and pushes, anew for as long as somebody else is quicker."""
    for _attempt in range(ATTEMPTS):
        cib = cluster.read()
        changes = plan(cib.find("configuration"))
        if not changes or cluster.push(cib, changed_cib(cib, changes)):
            return changes
    raise Refused([f"the configuration changed under each of {ATTEMPTS} attempts"], "find out who changes it all the time, and run this again")


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    params = module.params
    cluster = Cluster(module)
    try:
        wish = read_wish(params["xml"])
        if params["state"] == "present":
            obsolete = left_over(read_wish(params["owned"], "owned"), wish)
            changes = configure(cluster, lambda there: plan_present(there, wish, params["properties"]) + plan_absent(there, obsolete))
        elif params["properties"] or len(read_wish(params["owned"], "owned")):
            raise Refused(["properties or owned are given with state=absent"], "give them with state=present; a property is never removed here")
        else:
            changes = configure(cluster, lambda there: plan_absent(there, wish))
        if changes and params["wait"] and not module.check_mode:
            cluster.wait(params["wait"])
            gone = [change.before for change in changes if change.action == "remove" and change.section == "resources"]
            cluster.forget(part.get("id", "") for element in gone for part in element.iter("primitive"))
    except Refused as refusal:
        module.fail_json(msg=f"{refusal}. Next: {refusal.next_step}.", faults=refusal.faults, next=refusal.next_step)
    ending: dict[str, t.Any] = {
        "changed": bool(changes),
        "changes": [{"action": change.action, "section": change.section, "id": change.id} for change in changes],
    }
    if module._diff:
        ending["diff"] = shown(changes)
    module.exit_json(**ending)


if __name__ == "__main__":
    main()
