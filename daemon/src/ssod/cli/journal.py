"""Remembers which acts were done and which is under way, so that an interruption can say so truthfully."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Act:
    """Something that changes something: what it is, in words, and the command that shows whether it happened."""

    what: str
    look: str


@dataclass
class Journal:
    """The acts of one run of `ssoctl`, in order."""

    done: list[Act] = field(default_factory=list)
    under_way: Act | None = None

    @contextmanager
    def step(self, act: Act) -> Iterator[None]:
        """An act that raises an ordinary exception did not happen; one that is interrupted may have."""
        self.under_way = act
        try:
            yield
        except Exception:
            self.under_way = None
            raise
        self.under_way = None
        self.done.append(act)

    def story(self) -> list[str]:
        """The lines to print after an interruption."""
        lines = [f"done: {act.what}" for act in self.done]
        if self.under_way:
            lines.append(f"under way, so perhaps done: {self.under_way.what}; look with: {self.under_way.look}")
        elif lines:
            lines.append("not done: the rest")
        else:
            lines.append("nothing was changed")
        return lines
