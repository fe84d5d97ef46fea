"""`ssoctl audit` finds what was done to a log, and shows what is in it."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from fake_ssod import FakeSsod, problem
from ssoctl_harness import Ssoctl, server_document, status_document

from ssod.core.audit import BEGINNING, AuditLine, Head, write_line

START = int(datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()) * 10**9
HOUR = 3600 * 10**9


class Log:
    """A log of 30 lines in three files, an hour between two lines; and the configuration of the host it is on."""

    def __init__(self, root: Path) -> None:
        self.config = root / "ssod.toml"
        self.config.write_text(
            f'[server]\nname = "m1"\naddress = "m1:7443"\nstate_directory = "{root}"\n[database]\nurl = "sqlite:///{root}/sso.db"\n'
            f'[access]\nsso_administrators = ["group:a"]\n[audit]\nfile = "{root}/audit.log"\n'
        )
        self.file = root / "audit.log"
        self.older = [root / "audit.log.2.gz", root / "audit.log.1"]
        self.heads = [BEGINNING]
        lines = []
        for number in range(1, 31):
            act, subject = ("change configuration", "billing/db") if number % 10 == 0 else ("decrypt", "app")
            caller = "user:alice" if number % 2 else "certificate:job"
            line = AuditLine(number, START + number * HOUR, f"t-{number}", caller, act, subject, "a1" * 16, "allowed")
            line.after = self.heads[-1].chain if number % 10 == 1 else ""
            content, chain = write_line(line, self.heads[-1].chain)
            lines.append(content)
            self.heads.append(Head(number, chain))
        self.older[0].write_bytes(gzip.compress(b"".join(lines[:10])))
        self.older[1].write_bytes(b"".join(lines[10:20]))
        self.file.write_bytes(b"".join(lines[20:]))
        (root / "audit.anchor").write_bytes(msgspec.json.encode(self.heads[25]))

    def head(self, number: int) -> dict[str, object]:
        return {"sequence": number, "head": self.heads[number].chain}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def serve(fake: FakeSsod, log: Log, number: int = 30) -> None:
    """An ssod that is that far, and a database that knows of line 27."""
    status = status_document()
    status["servers"] = [server_document("m1", audit_sequence=27, audit_head=log.heads[27].chain)]
    fake.answers |= {"GET /v1/audit/head": log.head(number), "GET /v1/status": status}


def test_a_good_log_is_exit_code_0(fake: FakeSsod, ssoctl: Ssoctl, log: Log) -> None:
    """All files of it, and everything that knows where it ended."""
    serve(fake, log)
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.splitlines() == [
        "30 lines in 3 files are as ssod wrote them: 1 to 30",
        "ssod knows of line 30",
        "the SSO database (m1) knows of line 27",
        f"{log.config.parent / 'audit.anchor'} knows of line 25",
    ]


def test_an_edited_line_is_exit_code_1_and_is_named(fake: FakeSsod, ssoctl: Ssoctl, log: Log) -> None:
    serve(fake, log)
    log.older[1].write_bytes(log.older[1].read_bytes().replace(b"t-14", b"t-41"))
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert finished.code == 1
    assert f"  - {log.older[1]}:4: this line was edited\n" in finished.err
    assert finished.err.count("\n  - ") == 1


@pytest.mark.parametrize("gone", [0, 1])
def test_a_file_that_is_gone_is_missed(fake: FakeSsod, ssoctl: Ssoctl, log: Log, gone: int) -> None:
    """Unless it is the oldest: those are removed in good order."""
    serve(fake, log)
    log.older[gone].unlink()
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert finished.code == gone
    assert (f"{log.file}:1: before it lines 11 to 20 are missing" in finished.err) == bool(gone)


@pytest.mark.parametrize("end", [29, 26, 24])
def test_a_cut_end_is_found_by_whoever_knows_of_it(fake: FakeSsod, ssoctl: Ssoctl, log: Log, end: int) -> None:
    """ssod, the database, and the file on the host, each as far as it knows."""
    serve(fake, log)
    log.file.write_bytes(b"".join(log.file.read_bytes().splitlines(keepends=True)[: end - 20]))
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert finished.code == 1
    assert finished.err.count("the end is missing: ") == sum(known > end for known in (30, 27, 25))


def test_anchors_that_cannot_be_asked_are_told(fake: FakeSsod, ssoctl: Ssoctl, log: Log) -> None:
    """The rest is compared: root need not be an SSO administrator to find a cut end."""
    serve(fake, log)
    fake.answers["GET /v1/audit/head"] = problem(403, "forbidden")
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert finished.code == 0
    assert "warning: ssod was not asked where its log ends: title of forbidden" in finished.err
    (log.config.parent / "audit.anchor").unlink()
    fake.answers["GET /v1/status"] = status_document(name="m1") | {"servers": None}
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert finished.err.count("warning: ") == 4


def test_files_of_another_host_are_checked_by_what_the_database_knows(fake: FakeSsod, ssoctl: Ssoctl, log: Log) -> None:
    """In whatever order they are named. Nothing of this host's own is compared with them."""
    serve(fake, log)
    finished = ssoctl("audit", "verify", log.file, *log.older, "--server", "m1")
    assert (finished.code, finished.err) == (0, "")
    assert fake.asked() == ["GET /v1/status"]
    assert ssoctl("audit", "verify", *log.older, "--server", "m1").code == 1
    assert "without an anchor" in ssoctl("audit", "verify", *log.older).err
    good, bad = (f"30:{log.heads[number].chain}" for number in (30, 29))
    assert ssoctl("audit", "verify", log.file, "--anchor", good).code == 0
    assert "was written anew" in ssoctl("audit", "verify", log.file, "--anchor", bad).err


def test_a_torn_end_is_no_finding(fake: FakeSsod, ssoctl: Ssoctl, log: Log) -> None:
    """It is told. In a file that others follow it is one."""
    serve(fake, log)
    log.file.write_bytes(log.file.read_bytes() + b'{"sequ')
    finished = ssoctl("audit", "verify", "--config", log.config)
    assert finished.code == 0
    assert f"warning: {log.file}:11: the beginning of a line" in finished.err
    log.older[1].write_bytes(log.older[1].read_bytes() + b'{"sequ')
    assert f"{log.older[1]}:11: this is no line of ssod's" in ssoctl("audit", "verify", "--config", log.config).err


def test_a_log_with_nothing_right_in_it_is_told_in_so_many_lines(ssoctl: Ssoctl, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"junk\n" * 1000)
    finished = ssoctl("audit", "verify", tmp_path / "junk")
    assert finished.code == 1
    assert finished.err.count("this is no line of ssod's") == 100
    assert "  - and 900 more\n" in finished.err


@pytest.mark.parametrize("name", ["absent", "broken.gz", "empty.gz"])
def test_what_cannot_be_read_is_exit_code_2(ssoctl: Ssoctl, tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"line\n" * 100)[:-20])
    (tmp_path / "empty.gz").write_bytes(b"no gzip")
    for command in ("verify", "show"):
        finished = ssoctl("audit", command, tmp_path / name)
        assert finished.code == 2
        assert finished.err.startswith("ssoctl: cannot read ")


@pytest.mark.parametrize("anchor", ["", "1", "x:" + "0" * 64, "1:" + "0" * 63, "-1:" + "0" * 64])
def test_what_is_no_anchor_is_refused(ssoctl: Ssoctl, log: Log, anchor: str) -> None:
    assert ssoctl("audit", "verify", log.file, "--anchor", anchor).code == 2


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        pytest.param([], range(1, 31), id="all"),
        pytest.param(["--act", "change *"], [10, 20, 30], id="by act"),
        pytest.param(["--caller", "user:*", "--act", "decrypt"], range(1, 31, 2), id="by caller and act"),
        pytest.param(["--subject", "billing/*"], [10, 20, 30], id="by subject"),
        pytest.param(["--since", "2026-11-24"], range(14, 31), id="since a day"),
        pytest.param(["--since", "2026-11-24T10:00+02:00"], range(22, 31), id="since a time of another zone"),
        pytest.param(["--since", "1s"], [], id="since a moment ago"),
    ],
)
def test_lines_are_shown_by_what_is_asked_for(ssoctl: Ssoctl, log: Log, options: list[str], numbers: range) -> None:
    """Oldest first, out of all files; as JSON they are the lines of the files."""
    asked = [*options, "--config", log.config]
    assert [line.split()[-1] for line in ssoctl("audit", "show", *asked).out.splitlines()] == [f"t-{n}" for n in numbers]
    as_json = ssoctl("audit", "show", "--json", *asked).out.splitlines()
    assert [json.loads(line)["sequence"] for line in as_json] == list(numbers)


def test_a_line_is_told_in_one_line(ssoctl: Ssoctl, log: Log) -> None:
    out = ssoctl("audit", "show", log.file, "--act", "change*").out
    told = "2026-11-24T16:00:00.000Z  certificate:job  change configuration  billing/db  allowed  a1a1a1a1  t-30\n"
    assert out == told


def test_a_name_does_not_steer_the_terminal(ssoctl: Ssoctl, tmp_path: Path) -> None:
    line = AuditLine(1, START, "t", "user:a", "decrypt", "app\x1b[2J\nuser:b", "", "allowed")
    (tmp_path / "log").write_bytes(write_line(line, BEGINNING.chain)[0])
    out = ssoctl("audit", "show", tmp_path / "log").out
    assert "\x1b" not in out
    assert out.count("\n") == 1


def test_what_is_no_time_is_refused(ssoctl: Ssoctl, log: Log) -> None:
    assert ssoctl("audit", "show", log.file, "--since", "yesterday").code == 2
