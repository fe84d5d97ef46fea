"""Names of systemd units: which are units that start processes, and which template an instance is of."""

from __future__ import annotations

import re

# `name@.service` is the template: it stands for all of its instances.
UNIT = re.compile(r"(?P<prefix>[A-Za-z0-9:_.\\-]+)(@(?P<instance>[A-Za-z0-9:_.\\-]*))?\.(?P<type>service|socket|mount|swap)")


def template_of(unit: str) -> str | None:
    """`name@.service` of an instance `name@instance.service`; None of any other."""
    parts = UNIT.fullmatch(unit)
    return f"{parts['prefix']}@.{parts['type']}" if parts and parts["instance"] else None


def meet(one: str, other: str) -> bool:
    """Whether a process can be of both: they are the same, or one is the template of the other."""
    return one == other or template_of(one) == other or one == template_of(other)
