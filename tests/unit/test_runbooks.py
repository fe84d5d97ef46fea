"""The runbooks: a page for each alert, each with the same headings, and no command that no scenario runs."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SHARED = PROJECT / "molecule" / "shared"
sys.path[:0] = [str(SHARED), str(PROJECT / "molecule" / "monitoring")]

import runbooks  # noqa: E402  of the scenarios

PAGES = sorted(path.stem for path in runbooks.DIRECTORY.glob("*.md") if path.stem != "README")
# What begins a line that somebody is to run.
PROGRAMS = re.compile(r"(?:ansible-playbook|ssoctl|systemctl|journalctl|crm_\w+|stonith_admin|corosync-\w+|attrd_updater|sed|mv|pg_\w+|df|runuser|/usr/)")


def commands(page: str) -> list[str]:
    return [command for block in runbooks.to_run(page) for command in block.commands]


def test_each_page_has_a_scenario_that_runs_it() -> None:
    """None is left out, and none is run that is not there; each is in the list of all."""
    assert sorted(runbooks.PAGES) == PAGES
    listed = set(re.findall(r"\]\(([a-z-]+)\.md\)", (runbooks.DIRECTORY / "README.md").read_text()))
    assert sorted(listed) == PAGES


def test_each_scenario_runs_its_pages_to_the_end() -> None:
    """`Runbooks.end` refuses a block that was not run; a scenario that does not come to it has run nothing."""
    for scenario in {scenario for scenario, _what in runbooks.PAGES.values()}:
        told = "".join(path.read_text() for path in (PROJECT / "molecule" / scenario).glob("*.py"))
        assert f'Runbooks({"story.env" if scenario == "cluster" else "env"}, "{scenario}")' in told, scenario
        assert "book.end()" in told, scenario
        pages = {page for page, (name, _what) in runbooks.PAGES.items() if name == scenario}
        assert set(re.findall(r'book\.run\("([a-z-]+)"', told)) == pages, scenario


def test_every_incident_is_told() -> None:
    """The scenario monitoring has one for each of its pages, and tells all of them."""
    incidents = importlib.import_module("incidents")
    written = {name for name in vars(incidents.Incidents) if name.replace("_", "-") in runbooks.PAGES}
    told = set(re.findall(r"^        incidents\.(\w+),$", Path(incidents.__file__).read_text(), re.MULTILINE))
    assert written == told == {page.replace("-", "_") for page, (name, _what) in runbooks.PAGES.items() if name == "monitoring"}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_headings(page: str) -> None:
    """All of them, in this order, none of them empty."""
    assert runbooks.headings(page) == list(runbooks.HEADINGS)
    assert all(len(section.strip()) > 10 for section in re.split(r"^## .*$", runbooks.text_of(page), flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_a_command_is_where_it_is_run(page: str) -> None:
    """Shell is under "What to run" and what it prints under "What it prints"; no other place has a command that could be copied."""
    found = runbooks.blocks(page)
    assert commands(page)
    for block in found:
        assert block.language in {"sh", "text"}
        assert (block.language == "sh") == (block.heading == "What to run"), block
    assert [block for block in found if block.heading == "What it prints"]
    assert len(re.findall(r"^```", runbooks.text_of(page), re.MULTILINE)) == 2 * len(found), "a fence that is none"
    of_others = [text for text in re.findall(r"`([^`\n]+)`", runbooks.text_of(page)) if re.match(r"ansible-playbook|/usr/", text)]
    assert not of_others


@pytest.mark.parametrize("page", PAGES)
def test_a_command_can_be_run(page: str) -> None:
    """It names a playbook and an inventory, or a program that is known, and has no word in capitals that nobody replaces."""
    for command in commands(page):
        assert PROGRAMS.match(command), command
        assert ("ansible-playbook" in command) == ("-i INVENTORY" in command), command
        words = set(re.findall(r"(?<![A-Z_-])[A-Z]{3,}(?![A-Z_=])", command.partition("  #")[0])) - {"INVENTORY"}
        assert words <= runbooks.WORDS, command


@pytest.mark.parametrize("page", PAGES)
def test_every_playbook_there_is(page: str) -> None:
    """In commands, and in the text."""
    text = runbooks.text_of(page)
    named = set(re.findall(r"holdfast\.sso\.(\w+)", text)) | set(re.findall(r"\b(\w+)\.yml\b", text))
    missing = {name for name in named if not (PROJECT / "playbooks" / f"{name}.yml").is_file()}
    assert missing == set()


def test_every_verb_of_ssoctl_there_is() -> None:
    """In commands, and in the text: `ssoctl` itself is asked."""
    found = {verb for page in PAGES for verb in re.findall(r"[`\n]ssoctl ((?:[a-z][a-z-]+ ?){1,2})", runbooks.text_of(page))}
    assert found
    for verb in sorted(found):
        words = verb.split()
        done = subprocess.run([sys.executable, "-m", "ssod.cli", *words, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (verb, done.stderr)


def test_what_a_page_says_is_printed_is_compared() -> None:
    """Line by line: three dots stand for anything, and blanks for any blanks."""
    printed = "m1   attached    active   yes\nok\n"
    lines = [block.text for block in runbooks.blocks("master-lost") if block.heading == "What it prints"]
    assert lines
    assert set(runbooks.not_printed("master-lost", printed)) == {line for text in lines for line in text.splitlines()} - {
        "... attached active ... yes"
    }
