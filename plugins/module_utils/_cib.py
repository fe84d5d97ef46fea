# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""Decides what changes in the configuration of a Pacemaker cluster (its CIB), and shows it without its secrets. Runs no tool."""

from __future__ import annotations

import copy
import dataclasses
import re
import typing as t
import xml.etree.ElementTree as ET

PROPERTY_SET = "cib-bootstrap-options"
SECRET = re.compile("pass|secret|token|key|community", re.IGNORECASE)
MASK = "********"
# Elements whose id is a reference to another element, and attributes that are one.
REFERENCES = ("resource_ref", "obj_ref", "role")
REFERRING = ("rsc", "with-rsc", "first", "then", "id-ref", "reference", "rsc-pattern")
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
