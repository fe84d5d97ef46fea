"""Tells every server what a transaction has changed: names, never values. Others hear of it when it is committed.

Whoever writes what servers keep a copy of says so in the same transaction:

    announce(connection, Change("config", application, name))
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import ARRAY, Connection, Text, bindparam, text

CHANNEL = "ssod"
# More changes than this in one transaction are told as one of everything of their kind in each application: a bulk load must not
# fill PostgreSQL's queue, nor wake every server a thousand times.
MOST = 100

_PENDING = "ssod changes"
_NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(:payloads) AS payload").bindparams(
    bindparam("channel", CHANNEL), bindparam("payloads", type_=ARRAY(Text))
)

Kind = Literal["application", "config", "mapping", "unit-credential", "role", "sso"]
# What an application holds.
DATA: tuple[Kind, ...] = ("config", "mapping", "unit-credential")


class Change(NamedTuple):
    """`name` is that of a configuration, a mapping's principal, UNIT/CREDENTIAL, or a role; "" is everything of this kind there."""

    kind: Kind
    application: str = ""
    name: str = ""


def announce(connection: Connection, *changes: Change) -> None:
    """To be called in the transaction that makes the changes; nobody hears of one that is rolled back."""
    told = list(dict.fromkeys(changes))
    if len(told) > MOST:
        told = list(dict.fromkeys(change._replace(name="") for change in told))
    connection.info.setdefault(_PENDING, []).extend(told)
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"payloads": list(map(payload, told))})


def collect(connection: Connection) -> list[Change]:
    """A list that holds, from now on, what is announced on this connection."""
    changes: list[Change] = []
    connection.info[_PENDING] = changes
    return changes


def payload(change: Change) -> str:
    return msgspec.json.encode(change).decode()


def from_payloads(payloads: Iterable[str]) -> list[Change]:
    """Raises msgspec.DecodeError for what no ssod of this version has said."""
    return [msgspec.json.decode(each, type=Change) for each in payloads]
