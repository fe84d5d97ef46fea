"""What ssod answers with about the status page: one struct a document, as in answers.py."""

from __future__ import annotations

from ssod.service.page import Level, Position, Stands
from ssod.transport.answers import Answer, Environment, Server, Status, Time


class Standing(Answer, frozen=True):
    name: str
    position: Position
    state: Stands
    reason: str
    since: Time | None


class Remembered(Answer, frozen=True):
    at: Time
    environment: Environment
    servers: list[Server]


class Reader(Answer, frozen=True):
    name: str
    refusal: str | None


class Act(Answer, frozen=True):
    time: Time
    caller: str
    act: str
    object: str
    outcome: str


class Page(Answer, frozen=True):
    now: Time
    level: Level
    status: Status
    remembered: Remembered | None
    standings: list[Standing]
    concerns: list[str]
    next: str | None
    candidates: list[str]
    reader: Reader
    acts: list[Act] | None
