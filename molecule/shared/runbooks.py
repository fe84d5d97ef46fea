"""The runbooks are run: what a page of docs/runbooks has in its shell blocks is what a scenario executes.

A line that begins with `ansible-playbook` runs on the control node, any other on the host that the story names. Words in capitals stand for
the scenario's own. What a page says that they print is compared with what they print. It decides nothing about when: that is the story's.
"""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path
from typing import NamedTuple

from story import Environment, PromiseBroken, promise, say

DIRECTORY = Path(__file__).resolve().parent.parent.parent / "docs" / "runbooks"
HEADINGS = ("What you see", "What still works", "What to run", "What it prints", "How long it takes", "How to undo it")
# The words that a command may have, beside INVENTORY.
WORDS = {"HOST", "FILE"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Which scenario runs the commands of a page, and on what. Nothing is left to a page of its own accord: tests/unit/test_runbooks.py.
PAGES = {
    "all-rebooted": ("monitoring", "all three hosts lose their power at once"),
    "certificate-expired": ("monitoring", "the standby's certificate is a day too old"),
    "certificate-expires": ("monitoring", "the standby's certificate has ten days left: the alert's expression is true"),
    "cluster": ("cluster", "a cluster that is settled again after every fault"),
    "cluster-fencing-failed": ("cluster", "the active host loses its power, and its fence device does not answer"),
    "cluster-no-quorum": ("cluster", "a member and the quorum device lose their power"),
    "cluster-two-members": ("database_pair", "a cluster that is settled: each command finds nothing to do"),
    "database-lost": ("monitoring", "every table of the database is dropped"),
    "database-unreachable": ("monitoring", "PostgreSQL is stopped: the alert's expression is true"),
    "disk-full": ("monitoring", "every byte of the master's disk is taken"),
    "key-ids-differ": ("monitoring", "a rotation that leaves the standby behind: the alert's expression is true"),
    "master-cut-off": ("monitoring", "the master is behind a dead switch"),
    "master-lost": ("monitoring", "the master loses its power: the alert's expression is true"),
    "no-standby": ("monitoring", "the standby's sealed copy is gone, and none can be written: the alert's expression is true"),
    "not-backed-up": ("monitoring", "the database knows of no backup: the alert's expression is true"),
    "old-master-returns": ("monitoring", "the host of a master that was replaced is switched on"),
    "sealed-copy-missing": ("monitoring", "the master is off, and its only standby was started without a sealed copy"),
    "secret-old": ("monitoring", "a healthy environment: a secret of 365 days takes 365 days"),
    "server-detached": ("monitoring", "the standby has no route to the master: the alert's expression is true"),
    "server-down": ("monitoring", "ssod of the standby is stopped: the alert's expression is true"),
    "ssod-frozen": ("monitoring", "ssod of the master is stopped by SIGSTOP"),
    "ssod-killed": ("monitoring", "ssod of the master is killed by SIGKILL"),
    "two-masters": ("monitoring", "a healthy environment: it takes a second database, by mistake"),
}


class Block(NamedTuple):
    """A fenced block, and the heading of the second level that it is under."""

    heading: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()] if self.language == "sh" else []


def text_of(page: str) -> str:
    return (DIRECTORY / f"{page}.md").read_text(encoding="utf-8")


def headings(page: str) -> list[str]:
    return re.findall(r"^## (.*)$", text_of(page), re.MULTILINE)


def blocks(page: str) -> list[Block]:
    parts = re.split(r"^## (.*)$", text_of(page), flags=re.MULTILINE)
    sections = zip(parts[1::2], parts[2::2], strict=True)
    return [Block(heading, *found) for heading, section in sections for found in FENCE.findall(section)]


def to_run(page: str) -> list[Block]:
    """The blocks of commands, in their order."""
    return [block for block in blocks(page) if block.commands]


def not_printed(page: str, printed: str) -> list[str]:
    """The lines under "What it prints" that were not printed; `...` in one stands for anything, blanks for any blanks."""
    expected = [line for block in blocks(page) if block.heading == "What it prints" for line in block.text.splitlines() if line.strip()]
    return [line for line in expected if not re.search(_pattern(line), printed)]


def _pattern(line: str) -> str:
    return r"\s+".join(".*".join(re.escape(part) for part in word.split("...")) for word in line.split())


class Runbooks:
    """The pages that one scenario runs."""

    def __init__(self, env: Environment, scenario: str) -> None:
        self._env = env
        self._pages = {page for page, (name, _what) in PAGES.items() if name == scenario}
        self._ran: dict[str, list[str]] = {page: [] for page in self._pages}
        self._printed = dict.fromkeys(self._pages, "")
        self.seconds: dict[str, float] = dict.fromkeys(sorted(self._pages), 0.0)

    def run(self, page: str, at: str, codes: dict[str, int] | None = None, **words: str) -> None:
        """Run the next block of a page on host `at`; every command must end with 0, or with the code given for it."""
        block = to_run(page)[len(self._ran[page])]
        self._ran[page].append(block.text)
        say(f"runbook {page}, on {at}")
        began = time.monotonic()
        for line in block.commands:
            self._printed[page] += self._command(at, line, (codes or {}).get(line.partition("  #")[0].strip(), 0), words)
        self.seconds[page] += time.monotonic() - began
        if len(self._ran[page]) == len(to_run(page)):
            missing = not_printed(page, self._printed[page])
            promise(not missing, f"{page}: it prints what the page says {missing}{self._printed[page] if missing else ''}")

    def _command(self, at: str, line: str, code: int, words: dict[str, str]) -> str:
        for word, meaning in words.items():
            line = re.sub(rf"\b{word}\b", meaning, line)
        argv = shlex.split(line, comments=True)
        if argv[0] == "ansible-playbook":
            inventory = argv.index("-i")
            run = self._env.playbook(argv[1], *argv[2:inventory], *argv[inventory + 2 :])
            ended, printed = run.code, run.output
        else:
            printed, _newline, number = self._env.ssh(at, f"{{ {line}\n}} 2>&1; code=$?; echo; echo $code", check=False).rstrip("\n").rpartition("\n")
            ended = int(number)
        if ended != code:
            raise PromiseBroken(f"{line} ended with {ended}, and not with {code}: {printed}")
        return printed + "\n"

    def end(self) -> None:
        """Every block of every page of this scenario was run."""
        left = {page for page in self._pages if self._ran[page] != [block.text for block in to_run(page)]}
        promise(not left, f"every runbook of this scenario was run: {len(self._pages)} {left or ''}")
