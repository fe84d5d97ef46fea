"""k of n shares: any k make the secret, fewer tell nothing, and each wrong share is named."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from ssod.core.shares import join, name_of, split
from ssod.errors import InvalidValue, SharesRefused

SECRET = b"AGE-SECRET-KEY-1" + b"Q" * 58
HOLDERS = ["alice", "bob", "carol", "dan"]


@pytest.mark.parametrize("threshold", [2, 3, 4])
def test_any_k_shares_make_the_secret(threshold: int) -> None:
    made = split(SECRET, threshold, HOLDERS)
    chosen = list(itertools.combinations(made, threshold))
    assert len(chosen) == math.comb(len(HOLDERS), threshold)
    assert {join(some) for some in chosen} == {SECRET}
    assert join(made) == SECRET, "more than are needed do no harm"


def test_fewer_shares_are_refused_and_say_how_many_are_missing() -> None:
    made = split(SECRET, 3, HOLDERS)
    with pytest.raises(SharesRefused, match="3 shares are needed, 2 given"):
        join(made[:2])
    with pytest.raises(SharesRefused, match="3 shares are needed, 2 of 3 are different ones"):
        join([made[0], made[1], made[1]])
    with pytest.raises(SharesRefused, match="no share"):
        join([])


def test_fewer_shares_tell_nothing() -> None:
    """With one share of two, every secret is as possible as before: two makings of one secret have nothing in common."""
    values = [json.loads(split(SECRET, 2, HOLDERS)[0])["value"] for _ in range(50)]
    assert len(set(values)) == len(values)


def test_shares_of_two_makings_are_not_mixed() -> None:
    """Not of two secrets; and not of one secret that was split twice, which would make another."""
    first, other = split(SECRET, 2, HOLDERS), split(SECRET[::-1], 2, HOLDERS)
    with pytest.raises(SharesRefused, match="the shares of bob are of another identity than that of alice"):
        join([first[0], other[1]])
    again = split(SECRET, 2, HOLDERS)
    with pytest.raises(SharesRefused, match="do not make the identity that they name"):
        join([first[0], again[1]])


@pytest.mark.parametrize("member", ["value", "number", "threshold", "identity", "holder"])
def test_a_share_that_was_altered_is_named(member: str) -> None:
    first, second, *_ = split(SECRET, 2, HOLDERS)
    document = json.loads(first)
    changed = {"value": ("A" * 4) + document["value"][4:], "number": 9, "threshold": 3, "identity": "0" * 32, "holder": "eve"}
    document[member] = changed[member]
    with pytest.raises(SharesRefused, match=r"the share of (alice|eve) is altered"):
        join([json.dumps(document), second])


@pytest.mark.parametrize("text", ["", "{}", "[]", "\xff", "age-encryption.org/v1", json.dumps({"format": "holdfast share 2"})])
def test_what_is_no_share_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(SharesRefused, match="share 2 of those given is none"):
        join([split(SECRET, 2, HOLDERS)[0], text])


@pytest.mark.parametrize(("threshold", "holders"), [(1, HOLDERS), (5, HOLDERS), (2, ["a", "a"]), (2, ["a"]), (2, [])])
def test_shares_that_would_be_none_are_not_made(threshold: int, holders: list[str]) -> None:
    with pytest.raises(InvalidValue):
        split(SECRET, threshold, holders)


def test_a_share_names_its_identity_and_holder() -> None:
    document = json.loads(split(SECRET, 2, HOLDERS)[1])
    assert document["identity"] == name_of(SECRET)
    assert (document["holder"], document["number"], document["threshold"], document["shares"]) == ("bob", 2, 2, 4)
