"""`ssoctl mapping load`: batches in the file's order, a bad line by its number, and a load that goes on where it was."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, Reply, Request, ok, problem
from hypothesis import given
from hypothesis import strategies as st
from ssoctl_harness import Ssoctl

from ssod.cli import mapping_load
from ssod.cli.mapping_files import BadLine, Format, entries

CANARY = "canary-c0de-secret"
LOAD = "POST /v1/applications/app/mappings/load"

YAML = """\
# people
- principal: user:a
  external_id: A
  position: 3
  credentials: {password: "s3cret", pin: '0815'}
- {principal: "user:b", external_id: B, credentials: null}

- principal: user:c
  external_id: "C: 口"
  credentials:
    password: |-
      two
      lines
"""
CSV = '\ufeffprincipal,external_id,password,position\r\nuser:a,A,"s3,cret",3\r\n\r\nuser:b,"B\nb",,\r\nuser:c,C,x,0\r\n'


def read(text: str | bytes, form: Format) -> list[tuple[int, dict[str, object]]]:
    return [tuple(each) for each in entries(io.BytesIO(text.encode() if isinstance(text, str) else text), form)]


def test_yaml_is_read_with_the_line_of_each_mapping() -> None:
    assert read(YAML, Format.YAML) == [
        (2, {"principal": "user:a", "external_id": "A", "position": 3, "credentials": {"password": "s3cret", "pin": "0815"}}),
        (6, {"principal": "user:b", "external_id": "B", "credentials": None}),
        (8, {"principal": "user:c", "external_id": "C: 口", "credentials": {"password": "two\nlines"}}),
    ]


def test_json_is_yaml() -> None:
    assert read('[{"principal": "user:a", "external_id": "A"}]', Format.YAML) == [(1, {"principal": "user:a", "external_id": "A"})]


def test_csv_is_read_with_the_line_of_each_mapping() -> None:
    assert read(CSV, Format.CSV) == [
        (2, {"principal": "user:a", "external_id": "A", "position": 3, "credentials": {"password": "s3,cret"}}),
        (4, {"principal": "user:b", "external_id": "B\nb"}),
        (6, {"principal": "user:c", "external_id": "C", "position": 0, "credentials": {"password": "x"}}),
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("principal: user:a", 1, "does not begin with a list"),
        ("", 1, "does not begin with a list"),
        ("- user:a", 1, "a mapping should be"),
        ("- principal: user:a", 1, "no external_id"),
        (f"- principal: user:a\n  external_id: A\n  credentials: {{password: {CANARY}, password: x}}", 3, "twice"),
        ("- principal: user:a\n  external_id: 17\n", 2, "external_id is not text: put it in quotes"),
        ("- principal: user:a\n  external_id: A\n  credentials: {pin: 0815}", 3, "pin is not text"),
        ("- principal: user:a\n  external_id: A\n  credentials: {pin: yes}", 3, "pin is not text"),
        (f"- principal: user:a\n  external_id: A\n  credentials: {{pin: [{CANARY}]}}", 3, "pin is no plain value"),
        (f"- principal: user:a\n  external_id: A\n  credentials: {CANARY}", 3, "credentials should be"),
        ("- principal: user:a\n  external_id: A\n  position: -1", 3, "position is not a number"),
        ("- principal: user:a\n  external_id: A\n  position: x", 3, "position is not a number"),
        (f"- principal: user:a\n  external_id: A\n  password: {CANARY}", 3, "and nothing else"),
        ("- &a {principal: user:a, external_id: A}\n- *a\n", 2, "a mapping should be"),
        ("- {principal: user:a, external_id: A}\n--- \n- {}\n", 2, "more than one document"),
        (f'- principal: user:a\n  external_id: "{CANARY}\n', 3, "not YAML"),
        (b"- principal: user:a\n  external_id: \xff\xfe", 1, "UTF-8"),
        (b"- principal: user:a\n  external_id: a\x00b", 1, "UTF-8"),
    ],
)
def test_a_bad_yaml_file_is_refused_by_line_and_not_quoted(text: str | bytes, line: int, what: str) -> None:
    with pytest.raises(BadLine, match=what) as bad:
        read(text, Format.YAML)
    assert (bad.value.line, CANARY in bad.value.what) == (line, False)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "heading does not name principal and external_id"),
        ("principal,password\n", 1, "external_id"),
        ("principal,external_id,external_id\n", 1, "twice"),
        (f"principal,external_id\nuser:a,A\nuser:b,{CANARY},x\n", 3, "3 cells, and the heading has 2"),
        ("principal,external_id,position\nuser:a,A,first\n", 2, "position is not a number"),
        (f'principal,external_id\nuser:a,"{CANARY}"x\n', 2, "not CSV"),
        (f'principal,external_id\nuser:a,A\nuser:b,"{CANARY}\n', 3, "not CSV"),
        (b"principal,external_id\nuser:a,\xff\n", 1, "UTF-8"),
    ],
)
def test_a_bad_csv_file_is_refused_by_line_and_not_quoted(text: str | bytes, line: int, what: str) -> None:
    with pytest.raises(BadLine, match=what) as bad:
        read(text, Format.CSV)
    assert (bad.value.line, CANARY in bad.value.what) == (line, False)


@given(
    st.one_of(st.binary(max_size=200), st.text(alphabet="-{}[]:,\"' \n&*!|>#user:aprincipalexternal_id", max_size=200)),
    st.sampled_from(Format),
)
def test_whatever_is_in_a_file_it_is_mappings_or_a_bad_line(content: bytes | str, form: Format) -> None:
    try:
        assert all("principal" in mapping for _, mapping in read(content, form))
    except BadLine as bad:
        assert bad.line >= 1


class Store:
    """Answers loads, and remembers what was in them."""

    def __init__(self, fake: FakeSsod) -> None:
        self.batches: list[list[dict[str, object]]] = []
        self.fail_at: int | None = None
        fake.answers[LOAD] = self.answer

    def answer(self, request: Request) -> Reply:
        if len(self.batches) == self.fail_at:
            return problem(503, "master-lost")
        self.batches.append(request.body["mappings"])
        return ok({"created": len(self.batches[-1]), "changed": 0, "unchanged": 0})

    @property
    def principals(self) -> list[object]:
        return [each["principal"] for batch in self.batches for each in batch]


@pytest.fixture
def store(fake: FakeSsod) -> Store:
    return Store(fake)


def csv_of(path: Path, count: int, first: int = 0) -> Path:
    lines = [f"user:u{n:06},A{n},{CANARY}{n}" for n in range(first, first + count)]
    path.write_text("\n".join(["principal,external_id,password", *lines, ""]))
    path.chmod(0o600)
    return path


def test_a_file_is_loaded_in_batches_in_its_order(store: Store, ssoctl: Ssoctl, tmp_path: Path) -> None:
    file = csv_of(tmp_path / "m.csv", 2500)
    finished = ssoctl("mapping", "load", "app", file)
    assert finished.code == 0
    assert [len(batch) for batch in store.batches] == [1000, 1000, 500]
    assert store.principals == [f"user:u{n:06}" for n in range(2500)]
    assert finished.out.startswith("app: 2500 created, 0 changed, 0 unchanged; ")
    assert finished.err == ""
    assert not (tmp_path / "m.csv.progress").exists()


def test_large_credentials_make_smaller_batches(
    store: Store, ssoctl: Ssoctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapping_load, "BATCH_CHARACTERS", 100)
    assert ssoctl("mapping", "load", "app", csv_of(tmp_path / "m.csv", 12)).code == 0
    assert [len(batch) for batch in store.batches] == [6, 6]


def test_a_load_that_was_interrupted_goes_on_where_it_was(store: Store, ssoctl: Ssoctl, tmp_path: Path) -> None:
    file = csv_of(tmp_path / "m.csv", 2500)
    store.fail_at = 2
    finished = ssoctl("mapping", "load", "app", file)
    assert finished.code == 5
    assert "none was loaded" in finished.err and "lines 2002 to 2501" in finished.err
    assert "the 2000 mappings before it are loaded; run again, it goes on after them" in finished.err
    progress = tmp_path / "m.csv.progress"
    assert progress.stat().st_mode & 0o777 == 0o600
    assert CANARY not in progress.read_text() + finished.err
    store.fail_at = None
    again = ssoctl("mapping", "load", "app", file)
    assert [len(batch) for batch in store.batches] == [1000, 1000, 500]
    assert again.out.startswith("app: 500 created, 0 changed, 0 unchanged, 2000 were loaded before; ")
    assert not progress.exists()


def test_what_is_behind_the_loaded_part_may_be_mended(store: Store, ssoctl: Ssoctl, tmp_path: Path) -> None:
    file = csv_of(tmp_path / "m.csv", 1500)
    file.write_text(file.read_text() + "user:last\n")
    finished = ssoctl("mapping", "load", "app", file)
    assert (finished.code, f"{file}:1502: it has 1 cells" in finished.err) == (2, True)
    assert "the 1000 mappings before it are loaded" in finished.err
    csv_of(file, 1500)
    assert ssoctl("mapping", "load", "app", file).code == 0
    assert [len(batch) for batch in store.batches] == [1000, 500]


@pytest.mark.parametrize("change", ["first line", "shorter", "other application", "damaged"])
def test_progress_of_something_else_is_refused(store: Store, ssoctl: Ssoctl, tmp_path: Path, fake: FakeSsod, change: str) -> None:
    file = csv_of(tmp_path / "m.csv", 1500)
    store.fail_at = 1
    assert ssoctl("mapping", "load", "app", file).code == 5
    store.fail_at, application, progress = None, "app", tmp_path / "m.csv.progress"
    if change == "first line":
        file.write_text(file.read_text().replace("A0,", "B0,", 1))
    elif change == "shorter":
        csv_of(file, 500)
    elif change == "damaged":
        progress.write_bytes(b"{")
    else:
        application = "other"
    finished = ssoctl("mapping", "load", application, file)
    assert (finished.code, "remove it to load the whole file" in finished.err) == (2, True)
    assert len(store.batches) == 1
    progress.unlink()
    assert ssoctl("mapping", "load", "app", file).code == 0


def test_a_refused_batch_names_file_and_line_of_each_bad_mapping(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    conditions = ["user:u000001: the application has no field x", "something of none of them"]
    fake.answers[LOAD] = problem(422, "invalid-value", conditions=conditions)
    file = csv_of(tmp_path / "m.csv", 3)
    finished = ssoctl("mapping", "load", "app", file)
    assert finished.code == 1
    assert f"  - {file}:3: user:u000001: the application has no field x\n  - something of none of them\n" in finished.err
    assert "nothing was changed" in finished.err


def test_what_the_api_does_not_take_is_found_by_line_too(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    fake.answers[LOAD] = problem(
        400, "malformed-request", detail="Expected `str` of length <= 512 - at `$.mappings[2].external_id`"
    )
    finished = ssoctl("mapping", "load", "app", csv_of(tmp_path / "m.csv", 3))
    assert (finished.code, "m.csv:4: this mapping" in finished.err) == (2, True)


def test_a_dry_run_loads_nothing_and_leaves_no_progress(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    fake.answers[f"{LOAD}?dry_run=true"] = {"created": 3, "changed": 0, "unchanged": 0}
    finished = ssoctl("mapping", "load", "app", csv_of(tmp_path / "m.csv", 3), "--dry-run")
    assert "3 would be created" in finished.out
    assert os.listdir(tmp_path) == ["m.csv"] or sorted(os.listdir(tmp_path)) == ["m.csv", "s"]


def test_a_pipe_can_be_loaded(store: Store, ssoctl: Ssoctl) -> None:
    assert ssoctl("mapping", "load", "app", "-", stdin=YAML.encode()).code == 2
    assert ssoctl("mapping", "load", "app", "-", "--format", "yaml", stdin=YAML.encode()).code == 0
    assert store.principals == ["user:a", "user:b", "user:c"]


def test_a_file_that_others_can_read_is_warned_of(store: Store, ssoctl: Ssoctl, tmp_path: Path) -> None:
    file = csv_of(tmp_path / "m.csv", 1)
    file.chmod(0o644)
    assert "can be read by others" in ssoctl("mapping", "load", "app", file).err
    assert ssoctl("mapping", "load", "app", tmp_path / "absent.csv").code == 2


def test_json_has_the_counts_alone(store: Store, ssoctl: Ssoctl, tmp_path: Path) -> None:
    finished = ssoctl("mapping", "load", "app", csv_of(tmp_path / "m.csv", 3), "--json")
    assert json.loads(finished.out) == {"created": 3, "changed": 0, "unchanged": 0}


def test_a_terminal_sees_a_bar_with_the_rate(store: Store, ssoctl: Ssoctl, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = ssoctl.command("mapping", "load", "app", csv_of(tmp_path / "m.csv", 2500))
    done = subprocess.run(command, env=ssoctl.environment, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=False)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert done.returncode == 0
    assert b"2,500 mappings, " in shown and b"100%" in shown and CANARY.encode() not in shown
