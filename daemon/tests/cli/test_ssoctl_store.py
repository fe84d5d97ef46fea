"""`ssoctl export` writes a store that other programs read as YAML, and `ssoctl import` takes it back in parts."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_ssod import FakeSsod, Reply, Request, ok, problem
from ssoctl_harness import ENVIRONMENT, Ssoctl

SECTIONS = ("applications", "roles", "configs", "mappings", "unit_credentials", "disabled_by_user")
SFTP = {"name": "sftp", "type": "individual", "enabled": True, "fields": [{"name": "password", "masked": True, "label": "Paßwort"}]}
ODD = "a\u0085b\u2028c\x7f\U0001f600 'é\": #- {x}"
ALICE = {"application": "sftp", "principal": "user:alice", "external_id": ODD, "ciphertexts": {"password": "hf1.AAAA"}}
BOB = ALICE | {"principal": "user:bob"}
CHOICE = {"application": "sftp", "principal": "user:bob"}


def page(after: str | None = None, **sections: object) -> dict[str, Any]:
    empty: dict[str, Any] = {name: [] for name in SECTIONS}
    return {"format": "holdfast store 1", "environment_id": ENVIRONMENT, **empty, **sections, "next": after}


@pytest.fixture
def exporting(fake: FakeSsod) -> FakeSsod:
    """In three pages: a section goes over two of them, and the last holds nothing."""
    fake.answers |= {
        "GET /v1/export": page('[3,["a b"]]', applications=[SFTP], mappings=[ALICE]),
        "GET /v1/export?after=%5B3%2C%5B%22a+b%22%5D%5D": page("x", mappings=[BOB], disabled_by_user=[CHOICE]),
        "GET /v1/export?after=x": page(),
    }
    return fake


@pytest.fixture
def importing(fake: FakeSsod) -> FakeSsod:
    """Answers what each part would be: all of it new."""

    def taken(request: Request) -> Reply:
        sections = {name: len(entries) for name, entries in request.body.items() if name in SECTIONS[:-1]}
        return ok({"created": sections, "unchanged": {}})

    fake.answers |= {"POST /v1/import": taken, "POST /v1/import?dry_run=true": taken}
    return fake


def stored(path: Path, **sections: object) -> Path:
    path.write_text(yaml.safe_dump({"format": "holdfast store 1", **sections}))
    return path


@pytest.mark.usefixtures("exporting")
def test_an_export_is_yaml_of_one_line_an_entry(ssoctl: Ssoctl) -> None:
    """Every section is there once, whatever pages it came in, and every character comes back."""
    out = ssoctl("export").out
    document = yaml.safe_load(out)
    assert document == {
        "format": "holdfast store 1",
        "environment_id": ENVIRONMENT,
        "applications": [SFTP],
        "roles": [],
        "configs": [],
        "mappings": [ALICE, BOB],
        "unit_credentials": [],
        "disabled_by_user": [CHOICE],
    }
    assert [name for name in document if name in SECTIONS] == list(SECTIONS)
    assert sum(line.startswith("  - ") for line in out.split("\n")) == 4


@pytest.mark.usefixtures("exporting")
def test_an_export_into_a_file_is_private_and_whole(ssoctl: Ssoctl, tmp_path: Path) -> None:
    """The same words as on standard output."""
    target = tmp_path / "store.yml"
    assert ssoctl("export", "--output", target).code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_text() == ssoctl("export").out


def test_an_export_that_fails_leaves_the_older_file(exporting: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """In the middle of it, too."""
    target = tmp_path / "store.yml"
    target.write_text("older")
    exporting.answers["GET /v1/export?after=x"] = problem(503, "database-unavailable")
    assert ssoctl("export", "--output", target).code == 5
    assert target.read_text() == "older"
    assert list(tmp_path.glob("*store*")) == [target]


def test_what_was_exported_is_imported(exporting: FakeSsod, importing: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """Section by section, in an order in which nothing refers to what comes later."""
    target = tmp_path / "store.yml"
    ssoctl("export", "--output", target)
    finished = ssoctl("import", target, "--json")
    assert json.loads(finished.out)["created"] == {
        "applications": 1,
        "roles": 0,
        "configs": 0,
        "mappings": 2,
        "unit_credentials": 0,
    }
    bodies = [request.body for request in importing.requests if request.method == "POST"]
    assert bodies == [
        {"format": "holdfast store 1", "applications": [SFTP]},
        {"format": "holdfast store 1", "mappings": [ALICE, BOB], "disabled_by_user": [CHOICE]},
    ]


def test_a_large_store_goes_in_parts(importing: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """By number and by size, and what a user has disabled goes with the mapping."""
    many = [ALICE | {"principal": f"user:{number}"} for number in range(1200)]
    large = [{"application": "a", "name": str(n), "ciphertexts": {"v": "x" * (3 << 20)}} for n in range(3)]
    choice = {"application": "sftp", "principal": "user:1100"}
    file = stored(tmp_path / "s.yml", configs=large, mappings=many, disabled_by_user=[choice])
    assert "mappings: 1200 added" in ssoctl("import", file).out
    bodies = [request.body for request in importing.requests]
    assert [len(body.get("configs", body.get("mappings"))) for body in bodies] == [1, 1, 1, 500, 500, 200]
    assert [body.get("disabled_by_user") for body in bodies[3:]] == [[], [], [choice]]


def test_a_dry_run_takes_each_part_with_its_applications(importing: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """Nothing is there yet of what an earlier part would have added."""
    file = stored(tmp_path / "s.yml", applications=[SFTP, SFTP | {"name": "other"}], mappings=[ALICE])
    assert json.loads(ssoctl("import", file, "--dry-run", "--json").out)["created"]["applications"] == 2
    assert importing.asked() == ["POST /v1/import?dry_run=true"] * 2
    assert importing.requests[-1].body["applications"] == [SFTP]


def test_an_import_that_breaks_off_says_what_is_done(importing: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """And that the same command goes on from there."""

    def refuse_mappings(request: Request) -> Reply:
        if "mappings" in request.body:
            return problem(409, "import-refused")
        return ok({"created": {"applications": 1}, "unchanged": {}})

    importing.answers["POST /v1/import"] = refuse_mappings
    finished = ssoctl("import", stored(tmp_path / "s.yml", applications=[SFTP], mappings=[ALICE]))
    assert finished.code == 1
    assert "imported before that: 1 entries; they stay, and the same command goes on from there" in finished.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "it is not YAML"),
        ("\xff", "it does not say `format"),
        ("[]", "it does not say `format: holdfast store 1`"),
        ("format: holdfast store 2", "it does not say `format: holdfast store 1`"),
        ("format: holdfast store 1\nsecrets: []", "it has sections that are not known: secrets"),
        ("format: holdfast store 1\nconfigs: {}", "configs is not a list of entries"),
        ("format: holdfast store 1\nmappings: [hf1.CANARY]", "mappings is not a list of entries"),
        ("!!python/object/apply:os.system ['CANARY']", "it is not YAML"),
    ],
)
def test_what_is_no_store_is_refused(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path, text: str, words: str) -> None:
    """Before anything is asked, and without a word of what it holds."""
    file = tmp_path / "s.yml"
    file.write_text(text)
    finished = ssoctl("import", file)
    assert finished.code == 2
    assert words in finished.err
    assert "CANARY" not in finished.err
    assert fake.asked() == []
