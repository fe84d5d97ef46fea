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
import copy
import dataclasses
import os
import re
import tempfile
import typing as t
import xml.etree.ElementTree as ET

from ansible.module_utils.basic import AnsibleModule

SPEC: dict[str, t.Any] = {
    # Parameters of fence devices are in it: it is in no result and no log.
    "xml": {"type": "str", "default": "<configuration/>", "no_log": True},
    "owned": {"type": "str", "default": "<configuration/>"},
    "properties": {"type": "dict", "default": {}},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "wait": {"type": "int", "default": 60},
}
PROPERTY_SET = "cib-bootstrap-options"
SECRET = re.compile("pass|secret|token|key|community", re.IGNORECASE)
MASK = "********"
# Elements whose id is a reference to another element, and attributes that are one.
REFERENCES = ("resource_ref", "obj_ref", "role")
REFERRING = ("rsc", "with-rsc", "first", "then", "id-ref", "reference", "rsc-pattern")
# Exit codes of Pacemaker's tools (crm_exit_t).
NOT_CONFORMING = 78
NOT_CONNECTED = 102
WAS_OLDER = 103
NO_QUORUM = 106
TIMED_OUT = 124
ATTEMPTS = 20
# The others come with their first element and go with their last.
REQUIRED_SECTIONS = ("crm_config", "nodes", "resources", "constraints")


class Refused(Exception):
    """The wish cannot be granted; every reason, and what to do."""

    def __init__(self, faults: t.Sequence[str], next_step: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)
        self.next_step = next_step


@dataclasses.dataclass(frozen=True)
class Change:
    """One element that is added, replaced or removed."""

    section: str
    before: ET.Element | None
    after: ET.Element | None

    @property
    def id(self) -> str:
        element = self.before if self.after is None else self.after
        return element.get("id", "")

    @property
    def action(self) -> str:
        if self.before is None:
            return "add"
        return "remove" if self.after is None else "replace"


def read_wish(xml: str, option: str = "xml") -> ET.Element:
    """The configuration that an option gives, or every fault of its form."""
    try:
        wish = ET.fromstring(xml)
    except ET.ParseError as error:
        raise Refused([f"{option} is not well-formed: {error}"], "correct the template that it comes from") from None
    faults = []
    if wish.tag != "configuration":
        faults.append(f"{option} is a {wish.tag} element: give a configuration element")
    for section in wish:
        if section.tag in ("crm_config", "nodes"):
            faults.append(f"section {section.tag} is kept by the cluster itself: use the option properties")
        faults += [f"a {element.tag} in section {section.tag} has no id" for element in section if not element.get("id")]
    if faults:
        raise Refused(faults, "correct the template that it comes from")
    return wish


def canonical(element: ET.Element) -> tuple[t.Any, ...]:
    """What an element says: neither the order of attributes nor white space matter, the order of children does."""
    return element.tag, tuple(sorted(element.attrib.items())), tuple(canonical(child) for child in element)


def kind_of(element: ET.Element) -> tuple[str, ...]:
    """What an element is, whatever its settings are. A fence device may change its agent: it still fences the same host."""
    names = ("class",) if element.get("class") == "stonith" else ("class", "provider", "type")
    return (element.tag, *(element.get(name, "") for name in names))


def is_same_kind(there: ET.Element, wanted: ET.Element) -> bool:
    """Whether an element may take the place of another. One that only names an id to be removed says nothing of its kind."""
    if wanted.tag != there.tag or (wanted.get("class") and kind_of(wanted) != kind_of(there)):
        return False
    inside = {element.get("id"): element for element in there.iter("primitive") if element is not there}
    wanted_inside = [element for element in wanted.iter("primitive") if element is not wanted]
    known = [element for element in wanted_inside if element.get("id") in inside]
    return all(kind_of(inside[element.get("id")]) == kind_of(element) for element in known) and (bool(known) or not inside or not wanted_inside)


def owned_ids(element: ET.Element) -> list[str]:
    """The ids that an element and what is in it define."""
    return [part.get("id", "") for part in element.iter() if part.get("id") and part.tag not in REFERENCES]


def plan_present(configuration: ET.Element, wish: ET.Element, properties: t.Mapping[str, t.Any]) -> list[Change]:
    """What to add and what to replace, or every conflict with what is there."""
    changes, faults = [], []
    for wanted_section in wish:
        section = configuration.find(wanted_section.tag)
        for wanted in wanted_section:
            there = _child(section, wanted.get("id", ""))
            if there is None:
                changes.append(Change(wanted_section.tag, None, wanted))
            elif not is_same_kind(there, wanted):
                faults.append(f"there is an existing resource of the same name: {_describe(there)} in section {wanted_section.tag} is not {_describe(wanted)}")
            elif canonical(there) != canonical(wanted):
                changes.append(Change(wanted_section.tag, there, wanted))
    replaced = {id(part) for change in changes if change.before is not None for part in change.before.iter()}
    taken = {part.get("id"): part for part in configuration.iter() if id(part) not in replaced and part.tag not in REFERENCES}
    for change in changes:
        clashes = [name for name in owned_ids(change.after) if name in taken]
        faults += [
            f"there is an existing resource of the same name: id {name} of {_describe(change.after)} belongs to another {taken[name].tag} already"
            for name in clashes
        ]
    if faults:
        raise Refused(faults, "look at it with `cibadmin --query`, then remove or rename what is there. Nothing was changed")
    return changes + _plan_properties(configuration, properties)


def plan_absent(configuration: ET.Element, wish: ET.Element) -> list[Change]:
    """What to remove, or every reason why something of these names must stay."""
    changes, faults = [], []
    for wanted_section in wish:
        section = configuration.find(wanted_section.tag)
        for wanted in wanted_section:
            there = _child(section, wanted.get("id", ""))
            if there is not None and not is_same_kind(there, wanted):
                faults.append(f"{_describe(there)} is not {_describe(wanted)}, and so not ours to remove")
            elif there is not None:
                changes.append(Change(wanted_section.tag, there, None))
    gone = {name for change in changes for name in owned_ids(change.before)}
    removed = {id(part) for change in changes for part in change.before.iter()}
    for section in configuration:
        for element in section:
            if id(element) in removed or not _references(element) & gone:
                continue
            # What `crm_resource --move` and `--ban` leave behind belongs to the resource.
            if section.tag == "constraints" and element.get("id", "").startswith("cli-"):
                changes.append(Change(section.tag, element, None))
            else:
                names = ", ".join(sorted(_references(element) & gone))
                faults.append(f"{_describe(element)} in section {section.tag} still refers to {names}")
    if faults:
        raise Refused(faults, "remove these first, or keep what they refer to. Nothing was changed")
    return changes


def left_over(owned: ET.Element, wish: ET.Element) -> ET.Element:
    """The elements of `owned` that `wish` does not have."""
    kept = {(section.tag, element.get("id")) for section in wish for element in section}
    result = ET.Element("configuration")
    for section in owned:
        ET.SubElement(result, section.tag).extend(element for element in section if (section.tag, element.get("id")) not in kept)
    return result


def _plan_properties(configuration: ET.Element, properties: t.Mapping[str, t.Any]) -> list[Change]:
    there = {
        pair.get("name"): pair
        for properties_set in configuration.iterfind("crm_config/cluster_property_set")
        if properties_set.get("id") == PROPERTY_SET
        for pair in properties_set.iter("nvpair")
    }
    changes = []
    for name in sorted(properties):
        value = properties[name]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        pair = there.get(name)
        if pair is None:
            attributes = {"id": f"{PROPERTY_SET}-{name}", "name": name, "value": text}
            changes.append(Change("crm_config", None, ET.Element("nvpair", attributes)))
        elif pair.get("value") != text:
            changes.append(Change("crm_config", pair, ET.Element("nvpair", {**pair.attrib, "value": text})))
    return changes


def changed_cib(cib: ET.Element, changes: t.Iterable[Change]) -> ET.Element:
    """A copy of the CIB with the changes in it, one epoch on: a push of it fails if anybody was quicker."""
    new = copy.deepcopy(cib)
    new.set("epoch", str(int(new.get("epoch", "0")) + 1))
    new.set("num_updates", "0")
    configuration = new.find("configuration")
    for change in changes:
        section = configuration.find(change.section)
        if section is None:
            section = ET.SubElement(configuration, change.section)
        parent = section if change.section != "crm_config" else _property_set(section)
        there = _child(parent, change.id)
        if there is None:
            parent.append(change.after)
            continue
        place = list(parent).index(there)
        parent.remove(there)
        if change.after is not None:
            parent.insert(place, change.after)
        elif not len(section) and section.tag not in REQUIRED_SECTIONS:
            configuration.remove(section)
    return new


def shown(changes: t.Sequence[Change]) -> dict[str, str]:
    """The diff: the elements that change, in one form, before and after."""
    before, after = [], []
    for section in dict.fromkeys(change.section for change in changes):
        here = [change for change in changes if change.section == section]
        for lines, elements in (
            (before, [pretty(change.before) for change in here if change.before is not None]),
            (after, [pretty(change.after, change.before) for change in here if change.after is not None]),
        ):
            if elements:
                lines += [f"<{section}>", *(f"  {line}" for element in elements for line in element), f"</{section}>"]
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}


def pretty(element: ET.Element, old: ET.Element | None = None) -> list[str]:
    """An element on lines of its own, attributes in order, secrets masked; a mask tells whether it hides another value."""
    former = {pair.get("id"): pair.get("value") for pair in old.iter("nvpair")} if old is not None else {}
    attributes = dict(sorted(element.attrib.items()))
    if is_secret(element):
        changed = old is not None and former.get(element.get("id")) != element.get("value")
        attributes["value"] = MASK + (" (changed)" if changed else "")
    text = " ".join([element.tag, *(f'{name}="{value}"' for name, value in attributes.items())])
    if not len(element):
        return [f"<{text}/>"]
    return [f"<{text}>", *(f"  {line}" for child in element for line in pretty(child, old)), f"</{element.tag}>"]


def is_secret(element: ET.Element) -> bool:
    """Whether this is a named value that nobody is to read."""
    return element.tag == "nvpair" and SECRET.search(element.get("name", "")) is not None


def masked(text: str, *trees: ET.Element) -> str:
    """A tool's message without the secrets that may be in it."""
    secrets = {element.get("value", "") for tree in trees for element in tree.iter("nvpair") if is_secret(element)}
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= 4:
            text = text.replace(value, MASK)
    return text


def _child(parent: ET.Element | None, name: str) -> ET.Element | None:
    return next((element for element in parent if element.get("id") == name), None) if parent is not None else None


def _describe(element: ET.Element) -> str:
    agent = ":".join(element.get(name, "") for name in ("class", "provider", "type") if element.get(name))
    inside = " of " + ", ".join(_describe(part) for part in element.findall("primitive")) if element.find("primitive") is not None else ""
    return f"{element.tag} {element.get('id')}" + (f" ({agent})" if agent else "") + inside


def _references(element: ET.Element) -> set[str]:
    found = {part.get(name, "") for part in element.iter() for name in REFERRING}
    return found | {part.get("id", "") for part in element.iter() if part.tag in REFERENCES}


def _property_set(section: ET.Element) -> ET.Element:
    there = _child(section, PROPERTY_SET)
    return ET.SubElement(section, "cluster_property_set", {"id": PROPERTY_SET}) if there is None else there


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
