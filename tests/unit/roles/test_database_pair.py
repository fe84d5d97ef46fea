"""What one of two members may do without the other, case by case and in every order: a wrong answer here loses acknowledged writes."""

from __future__ import annotations

import importlib.util
import random
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

TOOL = Path(__file__).parents[3] / "roles/database_cluster/files/sso-database-pair"


def load() -> ModuleType:
    loader = SourceFileLoader("sso_database_pair", str(TOOL))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


tool = load()


@pytest.mark.parametrize(
    ("mine", "its", "takes_part", "reason"),
    [
        ("yes", "", False, ""),  # its primary was lost
        ("alone", "", False, ""),  # it comes back, and the other has not been here since
        ("unknown", "", False, "this member was away, and is promoted when c2 is back"),
        ("", "", False, "this member was away"),
        ("unknown", "unknown", True, ""),  # both were off: they are compared
        ("unknown", "yes", True, ""),
        ("unknown", "alone", True, "c2 has acknowledged writes that are not here"),
        ("yes", "alone", True, "c2 has acknowledged writes that are not here"),
        ("unknown", "", True, "it is not known yet what c2 has"),
        ("alone", "unknown", True, ""),
    ],
)
def test_who_may_be_promoted(mine: str, its: str, takes_part: bool, reason: str) -> None:
    said = tool.refusal(mine, its, "c2", takes_part=takes_part)
    assert reason in said and bool(reason) == bool(said)


@pytest.mark.parametrize(
    ("is_alone", "its", "streams", "has_stopped", "step"),
    [
        (False, "yes", True, False, "nothing"),
        (False, "yes", False, False, "nothing"),  # away for a moment, or so it may be: it is waited for
        (False, "yes", False, True, "go alone"),
        (False, "yes", True, True, "go alone"),  # its host is off, and nobody has said goodbye
        (True, "unknown", False, True, "nothing"),
        (True, "unknown", False, False, "nothing"),
        (True, "unknown", True, False, "take back"),
        (False, "unknown", True, False, "take back"),  # broken off half-way, or both were started
        (False, "", True, False, "take back"),
    ],
)
def test_what_a_primary_does_next(is_alone: bool, its: str, streams: bool, has_stopped: bool, step: str) -> None:
    assert tool.next_step(is_alone=is_alone, its=its, streams=streams, has_stopped=has_stopped) == step


def crm_mon(*, quorum: str = "true", online: str = "true", unclean: str = "false", active: str = "true") -> ElementTree.Element:
    return ElementTree.fromstring(
        f"""<pacemaker-result><summary><current_dc present="true" with_quorum="{quorum}"/></summary>
        <nodes><node name="c1" online="true" unclean="false"/><node name="c2" online="{online}" unclean="{unclean}"/></nodes>
        <resources><clone id="sso-database-clone">
        <resource id="sso-database" role="Promoted" active="true"><node name="c1"/></resource>
        <resource id="sso-database" role="Unpromoted" active="{active}"><node name="c2"/></resource>
        </clone></resources></pacemaker-result>"""
    )


@pytest.mark.parametrize(
    ("cluster", "streams", "stopped"),
    [
        ({}, False, False),
        ({"active": "false"}, False, True),
        ({"active": "false"}, True, False),  # after a cleanup Pacemaker does not know yet that it runs
        ({"active": "false", "quorum": "false"}, False, False),
        ({"online": "false", "unclean": "true"}, False, False),  # not fenced yet
        ({"online": "false"}, True, True),
        ({"online": "false", "quorum": "false"}, False, False),
    ],
)
def test_when_the_other_has_stopped(cluster: dict[str, str], streams: bool, stopped: bool) -> None:
    assert tool.has_stopped(crm_mon(**cluster), "c2", streams=streams) is stopped


class BrokenOff(Exception):
    """The tool, or its host, ended here."""


class Member(tool.Pair):  # type: ignore[misc, name-defined]
    """A member of a pretended cluster: what is in the log was written, in this order; each entry names its timeline."""

    def __init__(self, pair: Pretended, name: str, other: str) -> None:
        self.pair, self.name, self.other = pair, name, other
        self.has_power = self.runs = self.is_primary = False
        self.streams = False  # from the other
        self.has_file = False  # on its disk
        self.reads_alone = self.acknowledges_alone = False  # new sessions; all sessions
        self.log: list[tuple[int, int]] = []

    def progress(self) -> tuple[int, int]:
        """Its timeline, and how much it has of it."""
        return (self.log[-1][0], len(self.log)) if self.log else (0, 0)

    def step(self) -> None:
        self.pair.fuse -= 1
        if self.pair.fuse == 0:
            raise BrokenOff

    def word(self, member: str) -> str:
        return self.pair.words.get(member, "")

    def say(self, member: str, word: str) -> None:
        self.step()
        self.pair.words[member] = word

    def is_alone(self) -> bool:
        return self.has_file

    def write_down(self, *, alone: bool) -> None:
        self.step()
        self.has_file = alone

    def run(self, *command: str, **_others: object) -> str:
        assert command == ("crm_node", "--partition")
        return " ".join(name for name, member in self.pair.members.items() if member.has_power)

    def cluster(self) -> ElementTree.Element:
        it = self.pair.members[self.other]
        return crm_mon(online=str(it.has_power).lower(), active=str(it.runs).lower())

    def wait_for(self, condition: object, otherwise: str) -> None:
        if not condition():  # type: ignore[operator]
            raise RuntimeError(otherwise)

    def ask(self, query: str, limit: float = 0) -> str:
        self.step()
        it = self.pair.members[self.other]
        streams = it.has_power and it.runs and it.streams
        if "pg_reload_conf" in query:
            self.reads_alone = self.has_file
            self.acknowledges_alone = self.acknowledges_alone or self.reads_alone  # the other way it may take a while
        elif "SHOW" in query:
            return "" if self.reads_alone else "ANY 1"
        elif query == "CHECKPOINT":
            self.acknowledges_alone = self.reads_alone
        elif query == "SELECT pg_current_wal_flush_lsn()":
            return str(len(self.log))
        elif "sync_state" in query:
            return "t" if streams and it.log == self.log and not self.reads_alone else "f"
        elif "pg_is_in_recovery" in query:
            return ("t" if streams else "f") if self.is_primary else ""
        return ""


class Pretended:
    """Two members, Pacemaker, and what can happen to them. `acknowledged` is what a program was told to be written."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.words: dict[str, str] = {}
        self.members = {"c1": Member(self, "c1", "c2"), "c2": Member(self, "c2", "c1")}
        self.acknowledged: set[tuple[int, int]] = set()
        self.count = self.timeline = self.fuse = self.promotions = self.refusals = self.alone = 0
        self.history = "both are new"

    def primary(self) -> Member | None:
        return next((each for each in self.members.values() if each.runs and each.is_primary), None)

    def break_off(self, member: Member, act: object) -> None:
        """Do something; now and then it is broken off somewhere, and its host with it or not."""
        self.fuse = self.chance.choice([0, 0, 0, 0, self.chance.randint(1, 8)])
        try:
            act()  # type: ignore[operator]
        except RuntimeError:
            pass
        except BrokenOff:
            self.history += ", broken off"
            if self.chance.random() < 0.5:
                self.off(member)
        self.fuse = 0

    def happen(self) -> None:
        member = self.chance.choice(list(self.members.values()))
        usual = [self.on, self.start, self.promote, self.stream, self.look, self.look, self.write, self.write]
        event = self.chance.choice([*usual, *usual, *usual, self.off, self.off, self.killed, self.stop, *[self.silent] * 4])
        self.history += f"; {event.__name__} {member.name}"
        event(member)

    def off(self, member: Member) -> None:
        """Its power is lost, or it is fenced; Pacemaker tells the other."""
        if member.has_power:
            self.stop(member, forget=True)

    def stop(self, member: Member, *, forget: bool = False) -> None:
        ran, member.runs, member.is_primary, member.streams = member.runs, False, False, False
        it = self.members[member.other]
        it.streams = False
        if forget:
            member.has_power = False
            self.words.pop(member.name, None)
        # The notification may be lost; then a look finds it.
        if ran and it.runs and it.is_primary and not it.is_alone() and self.chance.random() < 0.7:
            self.break_off(it, it.go_alone)

    def killed(self, member: Member) -> None:
        """PostgreSQL alone. Of a primary Pacemaker has the role recovered in place, or not."""
        was_primary = member.is_primary and member.runs
        member.runs = member.is_primary = member.streams = False
        self.members[member.other].streams = False
        if was_primary and self.chance.random() < 0.5:
            self.start(member)
            if member.runs and self.primary() is None:
                self.promote(member, again=True)

    def on(self, member: Member) -> None:
        member.has_power = True
        self.start(member)

    def start(self, member: Member) -> None:
        if not member.has_power or member.runs:
            return
        primary = self.primary()
        if primary:  # sso-database-rejoin
            member.has_file = False
            common = 0
            while common < min(len(member.log), len(primary.log)) and member.log[common] == primary.log[common]:
                common += 1
            del member.log[common:]
        member.runs, member.reads_alone = True, member.has_file
        member.acknowledges_alone = member.reads_alone
        self.words[member.name] = "alone" if member.is_alone() else "unknown"

    def write(self, _member: Member) -> None:
        primary = self.primary()
        if primary:
            self.count += 1
            primary.log.append((self.timeline, self.count))
            it = self.members[primary.other]
            if it.runs and it.streams:
                it.log = list(primary.log)
                self.acknowledged.update(primary.log)
            elif primary.acknowledges_alone:
                self.alone += 1
                self.acknowledged.update(primary.log)

    def stream(self, _member: Member) -> None:
        primary = self.primary()
        if primary and self.members[primary.other].runs:
            self.members[primary.other].streams = True
            self.members[primary.other].log = list(primary.log)

    def silent(self, _member: Member) -> None:
        """The standby runs, and receives nothing."""
        for member in self.members.values():
            member.streams = False

    def look(self, _member: Member) -> None:
        primary = self.primary()
        if primary:
            self.break_off(primary, primary.look)

    def promote(self, member: Member, *, again: bool = False) -> None:
        """Pacemaker has nobody promoted, and the other is stopped, fenced or takes part."""
        if not member.runs or self.primary():
            return
        it = self.members[member.other]
        if not it.runs and not again and self.chance.random() < 0.5:
            self.off(it)
        refused = "broken off"

        def promote() -> None:
            nonlocal refused
            refused = member.promote(2 if it.runs else 1, again=again)

        self.break_off(member, promote)
        if refused or not member.runs:
            self.refusals += 1
            return
        if it.runs and not again and it.progress() > member.progress():
            member.log = list(it.log)  # the agent's, or PAF's, election
        self.timeline += 1
        self.promotions += 1
        member.is_primary, member.streams = True, False
        self.count += 1
        member.log.append((self.timeline, self.count))  # the record that ends the recovery
        lost = self.acknowledged - set(member.log)
        assert not lost, f"{member.name} was promoted without {lost}: {self.history}"


def test_nothing_acknowledged_is_lost_whatever_happens_in_whatever_order() -> None:
    promotions = refusals = alone = 0
    for seed in range(3000):
        pair = Pretended(seed)
        for _step in range(80):
            pair.happen()
        promotions, refusals, alone = promotions + pair.promotions, refusals + pair.refusals, alone + pair.alone
    assert min(promotions, refusals, alone) > 1000, "the cases that matter have come up"


def test_it_goes_on_alone_and_is_whole_again_when_nothing_else_happens() -> None:
    pair = Pretended(0)
    pair.chance.random = lambda: 0.0  # type: ignore[method-assign]
    pair.chance.choice = lambda options: options[0]  # type: ignore[method-assign, assignment]
    one, two = pair.members.values()
    for member in (one, two):
        pair.on(member)
    pair.promote(one)
    pair.stream(two)
    pair.look(one)
    assert pair.words == {"c1": "yes", "c2": "yes"}
    pair.off(two)
    assert pair.words == {"c1": "alone"} and one.acknowledges_alone and one.has_file
    pair.write(one)
    pair.off(one)
    pair.on(two)
    pair.promote(two)
    assert not two.is_primary, "it has less"
    pair.on(one)
    pair.promote(two)
    assert not two.is_primary, "the other has more"
    pair.promote(one)
    pair.stream(two)
    pair.look(one)
    assert one.is_primary and pair.words == {"c1": "yes", "c2": "yes"} and not one.has_file and not one.acknowledges_alone
    pair.off(one)
    pair.promote(two)
    assert two.is_primary and two.acknowledges_alone
