"""What a member does with its copy of the database, case by case: a wrong answer here loses acknowledged writes."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

TOOL = Path(__file__).parents[3] / "roles/database_cluster/files/sso-database-rejoin"
LEFT = 0x5000000  # where timeline 1 was left


def load() -> ModuleType:
    loader = SourceFileLoader("sso_database_rejoin", str(TOOL))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses look there
    loader.exec_module(module)
    return module


tool = load()

PRIMARY = tool.Primary(
    address="192.0.2.1",
    mark="the cluster",
    timeline=2,
    history_file=b"1\t0/5000000\tno recovery target specified\n",
    history=((1, LEFT),),
    beginning="aa",
    position=0x7000000,
    oldest=0x2000000,
)
COPY = tool.Copy(
    mark="the cluster",
    was_primary=False,
    is_clean=True,
    is_fresh=False,
    is_broken=False,
    timeline=2,
    history=((1, LEFT),),
    beginning="aa",
    end=0x6000000,
)
OLDER = {"timeline": 1, "history": (), "beginning": ""}


@pytest.mark.parametrize(
    ("copy", "verdict"),
    [
        ({}, "nothing"),
        ({"end": PRIMARY.oldest - 1}, "clone"),  # the WAL that follows is gone
        ({"is_broken": True}, "clone"),
        ({"mark": "", "is_fresh": True}, "clone"),
        ({**OLDER, "end": LEFT}, "nothing"),
        ({**OLDER, "end": LEFT + 1}, "rewind"),
        ({**OLDER, "end": LEFT, "was_primary": True}, "rewind"),
        ({"was_primary": True}, "clone"),  # it was primary of the same number: another promotion's timeline
        ({"beginning": "bb"}, "clone"),
        ({"history": ((1, LEFT - 8),)}, "clone"),
    ],
)
def test_what_is_done_with_a_copy(copy: dict[str, Any], verdict: str) -> None:
    assert tool.decide(replace(COPY, **copy), PRIMARY) == verdict


@pytest.mark.parametrize(
    ("copy", "reason"),
    [
        ({"mark": "another", "is_fresh": False}, "no copy of what the primary 192.0.2.1 has"),
        ({"timeline": 3}, "may hold writes that the primary lacks"),
        ({"end": PRIMARY.position + 1}, "is ahead of the primary"),
        ({**OLDER, "timeline": 0}, "does not contain this copy's timeline"),
    ],
)
def test_a_copy_that_may_hold_more_is_kept(copy: dict[str, Any], reason: str) -> None:
    with pytest.raises(tool.Refusal, match=reason):
        tool.decide(replace(COPY, **copy), PRIMARY)


@pytest.mark.parametrize("copy", [{"is_broken": True}, {"mark": ""}])
def test_without_a_primary_only_a_whole_copy_of_the_cluster_may_start(copy: dict[str, Any]) -> None:
    assert tool.decide(COPY, None) == "nothing"
    with pytest.raises(tool.Refusal, match="no primary is there"):
        tool.decide(replace(COPY, **copy), None)


class Answers:
    """A member whose only other one says what it is told to, question by question."""

    def __init__(self, *answers: list[str]) -> None:
        self.left = list(answers)
        settings = {"name": "d1", "members": {"d1": "192.0.2.2", "d2": "192.0.2.1"}, "port": 5432, "login": ""}
        settings |= dict.fromkeys(("binaries", "configuration", "data"), "/nowhere")
        self.member = tool.Member(settings)
        self.member.ask = lambda address, query: self.left.pop(0)


SAYS_PRIMARY = ["f", "the cluster", "00000002", "0/7000000", "000000020000000000000002"]


def test_a_primary_is_described_by_what_it_says() -> None:
    assert Answers(SAYS_PRIMARY, [PRIMARY.history_file.hex()], ["aa"]).member.primary() == PRIMARY


def test_the_beginning_of_a_timeline_may_be_gone() -> None:
    assert Answers(SAYS_PRIMARY, [PRIMARY.history_file.hex()], [""]).member.primary().beginning == ""


@pytest.mark.parametrize("after", [[[]], [[PRIMARY.history_file.hex()], []]], ids=["its history", "its WAL"])
def test_a_primary_that_falls_silent_is_not_taken_for_one_without_a_history(after: list[list[str]]) -> None:
    with pytest.raises(RuntimeError, match="and then not what is in its 00000002"):
        Answers(SAYS_PRIMARY, *after).member.primary()


def test_no_answer_is_no_primary() -> None:
    assert Answers([]).member.primary() is None
    assert Answers(["t", "the cluster", "", "", "000000020000000000000002"]).member.primary() is None


@pytest.mark.parametrize(("primary", "is_alone"), [(PRIMARY, False), (None, True)])
def test_a_member_that_went_on_alone_has_done_so_until_it_sees_another_primary(tmp_path: Path, primary: Any, is_alone: bool) -> None:
    settings = {"name": "d1", "members": {"d1": "192.0.2.2", "d2": "192.0.2.1"}, "port": 5432, "login": "", "binaries": "/nowhere"}
    member = tool.Member({**settings, "configuration": str(tmp_path), "data": str(tmp_path / "data")})
    for directory in ("conf.d", "data/global", "data/pg_wal"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "data/global/pg_control").touch()
    member.alone.touch()
    member.runs, member.copy, member.primary = lambda: False, lambda: COPY, lambda: primary
    assert tool.rejoin(member, may_clone=False) == 0
    assert member.alone.exists() is is_alone
