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

# SQLite keeps 32 bits with a sign.
NUMBERS = 1 << 31

_PENDING = "ssod changes"
_NOTIFY = text("SELECT pg_notify(:channel, payload) FROM unnest(:payloads) AS payload").bindparams(
    bindparam("channel", CHANNEL), bindparam("payloads", type_=ARRAY(Text))
)

Kind = Literal["application", "config", "mapping", "unit-credential", "role", "sso", "certificate", "environment"]
# What an application holds.
DATA: tuple[Kind, ...] = ("config", "mapping", "unit-credential")


class Change(NamedTuple):
    """`name` is that of a configuration, a mapping's principal, UNIT/CREDENTIAL, a role, or that in a certificate; "" is everything
    of this kind there.
    """

    kind: Kind
    application: str = ""
    name: str = ""


class Announced:
    """What one transaction has announced. `numbers` are SQLite's before and after it: see `announce`."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.numbers: tuple[int, int] | None = None


def announce(connection: Connection, *changes: Change) -> None:
    """To be called in the transaction that makes the changes; nobody hears of one that is rolled back.

    SQLite tells other processes nothing; there a number in the file counts the announcements, for them to look at.
    """
    told = list(dict.fromkeys(changes))
    if len(told) > MOST:
        told = list(dict.fromkeys(change._replace(name="") for change in told))
    announced: Announced = connection.info.setdefault(_PENDING, Announced())
    announced.changes += told
    if connection.dialect.name == "postgresql":
        connection.execute(_NOTIFY, {"payloads": list(map(payload, told))})
        return
    before = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    after = (before + 1) % NUMBERS
    connection.exec_driver_sql(f"PRAGMA user_version = {after}")
    announced.numbers = (announced.numbers or (before, after))[0], after


def collect(connection: Connection) -> Announced:
    """Holds, from now on, what is announced on this connection."""
    announced = connection.info[_PENDING] = Announced()
    return announced


def payload(change: Change) -> str:
    return msgspec.json.encode(change).decode()


def from_payloads(payloads: Iterable[str]) -> list[Change]:
    """Raises UNREADABLE for what no ssod of this version has said."""
    return [msgspec.json.decode(each, type=Change) for each in payloads]
