"""What the benchmark found: figures with both sides, their ratios pair by pair, targets, and the table people read."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from processes import CPUS

from ssod import __version__


class Summary(msgspec.Struct, frozen=True):
    """Median, least and most of the rounds, and the rounds themselves."""

    median: float
    min: float
    max: float
    rounds: list[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        return cls(statistics.median(values), min(values), max(values), list(values))

    def text(self) -> str:
        digits = 0 if self.median >= 100 else 2 if self.median < 10 else 1
        if len(self.rounds) == 1:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.min:,.{digits}f}-{self.max:,.{digits}f})"


class Limit(msgspec.Struct, frozen=True):
    at_least: float | None = None
    below: float | None = None

    def met(self, value: float) -> bool:
        return (self.at_least is None or value >= self.at_least) and (self.below is None or value < self.below)

    def text(self) -> str:
        return f">= {self.at_least:,g}" if self.at_least is not None else f"< {self.below:,g}"


class Interval(msgspec.Struct, frozen=True):
    """Where the median of `pairs` ratios lies with 95 % confidence, by bootstrap."""

    low: float
    high: float
    pairs: int

    @classmethod
    def of(cls, ratios: Sequence[float], draws: int = 10_000) -> Interval:
        chance = random.Random(0)  # noqa: S311  the same ratios give the same interval
        medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(draws))
        return cls(medians[draws * 25 // 1000], medians[draws * 975 // 1000], len(ratios))


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row. With `other`, the target is of `ratio` = ours / other of the same round; without, of ours."""

    name: str
    unit: str
    ours: Summary
    other_name: str | None = None
    other: Summary | None = None
    ratio: Summary | None = None
    target: Limit | None = None
    met: bool | None = None
    interval: Interval | None = None

    def ratio_text(self) -> str:
        if self.ratio is None:
            return ""
        if self.interval is None:
            return self.ratio.text() if self.ratio.median >= 0.1 else f"{self.ratio.median:.4f}"
        return f"{self.ratio.median:.3f} [{self.interval.low:.3f}-{self.interval.high:.3f}], {self.interval.pairs} pairs"

    def verdict(self) -> str:
        """Not sure: the target lies within the interval."""
        if self.interval is not None and self.target is not None and self.met is None:
            return "too few pairs"
        if self.met is None or self.target is None:
            return ""
        word = "met" if self.met else "MISSED"
        sure = self.interval is None or self.target.met(self.interval.low) == self.target.met(self.interval.high)
        return word if sure else f"{word}, not sure"


def alone(name: str, unit: str, values: Sequence[float], target: Limit | None = None) -> Figure:
    ours = Summary.of(values)
    return Figure(name, unit, ours, target=target, met=target.met(ours.median) if target else None)


def against(
    name: str, unit: str, values: Sequence[float], other_name: str, others: Sequence[float], target: Limit | None = None
) -> Figure:
    ratio = Summary.of([ours / other for ours, other in zip(values, others, strict=True)])
    met = target.met(ratio.median) if target else None
    return Figure(name, unit, Summary.of(values), other_name, Summary.of(others), ratio, target, met)


def paired(
    name: str, unit: str, values: Sequence[float], other_name: str, others: Sequence[float], target: Limit | None = None
) -> Figure:
    """As `against`, for ratios so near to one that it matters how sure they are; a few pairs are not judged."""
    figure = against(name, unit, values, other_name, others, target)
    assert figure.ratio is not None
    interval = Interval.of(figure.ratio.rounds)
    return msgspec.structs.replace(figure, interval=interval, met=figure.met if interval.pairs >= _PAIRS_NEEDED else None)


class Report(msgspec.Struct, frozen=True):
    """`reports/benchmark.json`."""

    format: str
    at: str
    quick: bool
    cpus: int
    versions: dict[str, str]
    figures: list[Figure]

    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.met is False]


# With fewer, no two of the ratios enclose the median with 95 % confidence.
_PAIRS_NEEDED = 6

_HEAD = ("figure", "unit", "ssod", "against", "theirs", "ratio", "target", "")


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        figure.unit,
        figure.ours.text(),
        figure.other_name or "",
        figure.other.text() if figure.other else "",
        figure.ratio_text(),
        figure.target.text() if figure.target else "",
        figure.verdict(),
    )


def table(figures: Sequence[Figure]) -> str:
    """Markdown, padded so that it reads in a terminal too."""
    rows = [_HEAD, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def finish(figures: list[Figure], path: Path, *, quick: bool, versions: Mapping[str, str] | None = None) -> int:
    """Prints the table, writes the report, and returns the exit code: 1 when a target is missed.

    `versions` are those of what was measured beside ssod.
    """
    all_versions = {"ssod": __version__, **(versions or {}), "python": sys.version.split()[0]}
    report = Report("holdfast benchmark 1", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", quick, len(CPUS), all_versions, figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    print(table(figures))
    missed = report.missed()
    say(f"{len(missed)} of {sum(figure.met is not None for figure in figures)} targets missed; written to {path}")
    return 1 if missed else 0
