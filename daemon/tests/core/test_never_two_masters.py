"""ADR 0003: whatever is slow, paused, killed or promoted, no two servers act as master at one moment.

The pure parts of ssod are driven as service/membership.py drives them, against a model of the database's one row, in any
order and with any delay between a question, the database's answer, and its arrival.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod.core.states import (
    Activated,
    Deactivated,
    EnvironmentRead,
    Instant,
    MandateWithdrawn,
    Mastership,
    ResumeMastership,
    State,
    SteppedDown,
    may_act_as_master,
    must_wait,
    step,
)

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a", "b", "c")
# What an answer takes at least. The one's window ends at the instant at which the other's wait does.
MOMENT = 0.001
# The database's clock never shows the same twice.
TICK = 0.000001


@dataclass
class Row:
    """The environment's row, as storage/repository.py changes it."""

    master: str | None = None
    epoch: int = 0
    confirmed_at: float | None = None
    confirmed_epoch: int = 0

    def earlier(self, now: float) -> float | None:
        return now - self.confirmed_at if self.confirmed_at is not None and self.confirmed_epoch < self.epoch else None

    def confirm(self, server: str, epoch: int, now: float) -> None:
        if (self.master, self.epoch) == (server, epoch):
            self.confirmed_at, self.confirmed_epoch = now, epoch

    def stepped_down(self, epoch: int, confirmation: float | None) -> None:
        if (self.confirmed_epoch, self.confirmed_at) == (epoch, confirmation):
            self.confirmed_at = None


@dataclass
class Answer:
    began: Instant
    master: str | None
    epoch: int
    earlier: float | None
    resuming: int | None = None
    confirmation: float | None = None


@dataclass
class Server:
    """`owed` is what the database is yet to be told; `letters` are on their way to it, for as long as it takes."""

    state: State
    answers: deque[Answer] = field(default_factory=deque)
    mandated: bool = True
    confirmation: float | None = None
    owed: tuple[int, float | None] | None = None
    letters: deque[tuple[int, float | None]] = field(default_factory=deque)


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.row = Row()
        self.servers = {name: Server(State(name, 60)) for name in NAMES}

    def instant(self) -> Instant:
        return Instant(self.now, BEGAN)

    def ask(self, server: Server, pause: float, resuming: int | None = None) -> None:
        """The question leaves now, the database takes it `pause` later; its answer lies there until it is delivered."""
        began = self.instant()
        self.now += pause
        epoch = server.state.epoch if resuming is None else resuming
        confirming = resuming is not None or server.state.mastership is not Mastership.PASSIVE
        if confirming:
            self.now += TICK
            self.row.confirm(server.state.server, epoch, self.now)
        mine = confirming and (self.row.master, self.row.epoch) == (server.state.server, epoch)
        confirmation = self.row.confirmed_at if mine else None
        server.answers.append(Answer(began, self.row.master, self.row.epoch, self.row.earlier(self.now), resuming, confirmation))

    def deliver(self, server: Server, pause: float) -> None:
        if not server.answers:
            return
        answer = server.answers.popleft()
        self.now += MOMENT
        if answer.confirmation is not None:
            server.confirmation = answer.confirmation
            if server.state.mastership is Mastership.PASSIVE:
                server.owed = (answer.epoch, answer.confirmation)
        if answer.resuming is not None:
            if server.mandated and (answer.master, answer.epoch) == (server.state.server, answer.resuming):
                server.answers.clear()
                server.owed = None
                server.state, _ = step(server.state, Activated(answer.resuming, answer.began))
            return
        server.state, effects = step(server.state, EnvironmentRead(answer.master, answer.epoch, answer.began))
        for effect in effects:
            if isinstance(effect, ResumeMastership) and server.mandated and must_wait(answer.earlier) == 0:
                self.ask(server, pause, resuming=answer.epoch)
            elif isinstance(effect, SteppedDown):
                server.owed = (effect.epoch, server.confirmation)
        self.settle(server)
        self.arrive(server)

    def settle(self, server: Server) -> None:
        """What is owed is sent, though not while a confirmation is asked for to resume by it."""
        if server.owed is not None and not any(answer.resuming is not None for answer in server.answers):
            server.letters.append(server.owed)
            server.owed = None

    def arrive(self, server: Server) -> None:
        while server.letters:
            self.row.stepped_down(*server.letters.popleft())

    def withdraw(self, server: Server, pause: float) -> None:
        server.mandated = False
        if server.state.mastership is not Mastership.PASSIVE:
            server.state, _ = step(server.state, MandateWithdrawn(self.instant()))
            server.owed = (server.state.epoch, server.confirmation)
        if pause > 0:
            self.settle(server)

    def look(self, server: Server) -> None:
        """A question that is answered at once, with all that had been under way."""
        self.ask(server, 0.0)
        while server.answers:
            self.deliver(server, 0.0)

    def promote(self, server: Server) -> None:
        self.row.master, self.row.epoch = server.state.server, self.row.epoch + 1

    def demote(self, server: Server) -> None:
        if self.row.master == server.state.server:
            self.row.stepped_down(self.row.epoch, self.row.confirmed_at)
            self.row.master, self.row.epoch = None, self.row.epoch + 1
            server.answers.clear()
            server.state, _ = step(server.state, Deactivated(self.row.epoch, self.instant()))

    def restart(self, server: Server, *, in_good_order: bool) -> None:
        if in_good_order and server.state.mastership is Mastership.ACTIVE:
            self.row.stepped_down(server.state.epoch, server.confirmation)
        state = State(server.state.server, 60, epoch=server.state.epoch)
        self.servers[server.state.server] = Server(state, mandated=server.mandated, letters=server.letters)

    def acting(self) -> list[str]:
        return [name for name, server in self.servers.items() if may_act_as_master(server.state, self.now)]


ACTS = ["ask", "deliver", "look", "look", "look", "look", "promote", "promote", "demote", "kill", "stop", "wait"]
ACTS += ["withdraw", "give", "settle", "arrive"]
PAUSES = [0.0, 0.1, 3.0, 5.9, 6.1]
Steps = list[tuple[str, str, float]]
STEPS = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(NAMES), st.sampled_from(PAUSES)), min_size=5, max_size=30)

A_ACTS: Steps = [("promote", "a", 0), ("look", "a", 0)]
# Each is the shortest way that is known to two masters, if one thing were left out.
HOLES: dict[str, Steps] = {
    "the next one does not wait": [*A_ACTS, ("promote", "b", 0), ("look", "b", 0)],
    "a confirmation counts from its arrival": [
        *A_ACTS,
        ("ask", "a", 0),
        ("promote", "b", 0),
        ("wait", "a", 6.1),
        ("deliver", "a", 0),
        ("look", "b", 0),
    ],
    "one that never acted takes the confirmation of another back": [
        *A_ACTS,
        ("promote", "b", 0),
        ("look", "b", 0),
        ("demote", "b", 0),
        ("promote", "c", 0),
        ("look", "c", 0),
    ],
    "one that steps down late takes the next one's confirmation back": [
        *A_ACTS,
        ("wait", "a", 6.1),
        ("promote", "b", 0),
        ("look", "b", 0),
        ("look", "a", 0),
        ("promote", "c", 0),
        ("look", "c", 0),
    ],
    "one that was killed acts again": [
        *A_ACTS,
        ("promote", "b", 0),
        ("kill", "a", 0),
        ("look", "a", 0),
        ("wait", "a", 6.1),
        ("look", "b", 0),
    ],
    "what ends an earlier confirmation ends the one that the same server acts on again": [
        *A_ACTS,
        ("withdraw", "a", 0.1),
        ("give", "a", 0),
        ("ask", "a", 0),
        ("deliver", "a", 0),
        ("deliver", "a", 0),
        ("arrive", "a", 0),
        ("promote", "b", 0),
        ("look", "b", 0),
    ],
    "it acts without a mandate": [*A_ACTS, ("withdraw", "a", 0.1), ("arrive", "a", 0), ("promote", "b", 0), ("look", "b", 0)],
}


def play(steps: Steps) -> World:
    """Takes the steps; fails at the first after which two may act."""
    world = World()
    for act, name, pause in steps:
        server = world.servers[name]
        match act:
            case "ask" | "deliver" | "withdraw":
                getattr(world, act)(server, pause)
            case "give":
                server.mandated = True
            case "kill" | "stop":
                world.restart(server, in_good_order=act == "stop")
            case "wait":
                world.now += pause
            case _:
                getattr(world, act)(server)
        assert len(world.acting()) <= 1, world.acting()
    return world


@settings(max_examples=300)
@given(STEPS)
def test_no_two_servers_act_as_master_at_one_moment(steps: Steps) -> None:
    """After every step, at most one of three servers may act."""
    play(steps)


@pytest.mark.parametrize("steps", HOLES.values(), ids=HOLES.keys())
def test_a_known_way_to_two_masters_is_closed(steps: Steps) -> None:
    """Step by step, and with whatever one of them does next."""
    play(steps)
    for act in set(ACTS):
        for name in NAMES:
            play([*steps, (act, name, 3.0), ("look", "a", 0), ("look", "b", 0), ("look", "c", 0)])


def test_a_promoted_server_does_come_to_act() -> None:
    """The model is no model of servers that never do anything: looks alone make the promoted one act, when it may."""
    world = World()
    a, b = world.servers["a"], world.servers["b"]

    world.promote(a)
    world.look(a)
    assert world.acting() == ["a"]
    world.promote(b)
    world.look(b)
    assert world.acting() == ["a"], "a may act yet, so b waits"
    world.look(a)
    world.look(b)
    assert world.acting() == ["b"], "a has stepped down, so b need not wait"
