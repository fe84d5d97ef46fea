"""`ssoctl exec` becomes the program, which finds the values where it was told, and nobody else does."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, problem
from ssoctl_harness import Ssoctl

from ssod.cli.private_files import make_directory

VALUES = {"db-host": "db1", "password": "canary-7f3a91 ü\n"}
CONFIG = {"application": "billing", "name": "prod", "version": 3, "properties": VALUES, "masked": ["password"]}
CREDENTIALS = {"application": "erp", "principal": "user:alice", "external_id": "ALICE1", "credentials": {"password": "p"}}
READ = "GET /v1/applications/billing/config/prod?reveal=true"


@pytest.fixture(autouse=True)
def values(fake: FakeSsod) -> None:
    fake.answers |= {READ: CONFIG, "GET /v1/applications/erp/credentials": CREDENTIALS}


Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(ssoctl: Ssoctl) -> Run:
    """`ssoctl exec` with these arguments, in a process of its own."""

    def finished(*arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        kept = {name: value for name, value in ssoctl.environment.items() if name not in ("PASSWORD", "CREDENTIALS_DIRECTORY")}
        return subprocess.run(
            ssoctl.command("exec", *arguments), env=kept | variables, capture_output=True, timeout=30, check=False
        )

    return finished


def test_the_values_are_variables_of_the_program(run: Run) -> None:
    """Every byte of them; the program has the arguments that stood behind the dashes, its own options too."""
    script = 'printf %s "$DB_HOST|$PASSWORD|$1|$2"'
    finished = run("billing", "prod", "--", "sh", "-c", script, "sh", "--json", "--")
    assert finished.stdout.decode() == f"db1|{VALUES['password']}|--json|--"
    assert (finished.returncode, finished.stderr) == (0, b"")


def test_a_prefix_stands_before_each_name(run: Run) -> None:
    """So that they come in nobody's way."""
    assert run("billing", "prod", "--prefix", "BILL_", "--", "sh", "-c", 'echo "$BILL_DB_HOST$DB_HOST"').stdout == b"db1\n"


def test_without_a_configuration_they_are_the_caller_s_own_credentials(run: Run) -> None:
    """And the account that they are for."""
    assert run("erp", "--", "sh", "-c", 'echo "$EXTERNAL_ID $PASSWORD"').stdout == b"ALICE1 p\n"


def test_the_program_takes_the_place_of_ssoctl(run: Run) -> None:
    """Its exit code is the command's, and no other process is left between."""
    assert run("billing", "prod", "--", "sh", "-c", "exit 77").returncode == 77
    assert run("billing", "prod", "--", "sh", "-c", "kill -9 $$").returncode == -9


def test_files_are_in_memory_and_for_the_program_alone(run: Run) -> None:
    """One a value, readable by its owner, in a ramfs; children find them too. No value is a variable."""
    script = """
    cd "$CREDENTIALS_DIRECTORY" && ls && cat password && sh -c 'cat "$CREDENTIALS_DIRECTORY/db-host"' && echo
    stat --format %a . password && stat --file-system --format %T . && touch new 2>&1 | grep -c denied; env | grep -c canary
    """
    finished = run("billing", "prod", "--files", "--", "sh", "-c", script)
    lines = finished.stdout.decode().splitlines()
    assert lines[:6] == ["db-host", "password", "canary-7f3a91 ü", "db1", "500", "400"], finished
    assert lines[6] == "ramfs"
    assert lines[-1] == "0"


def test_the_variable_that_names_their_directory_can_be_another(run: Run) -> None:
    """systemd's own, where it is set, stays."""
    refused = run("billing", "prod", "--files", "--", "true", CREDENTIALS_DIRECTORY="/run/credentials/x")
    assert (refused.returncode, b"--variable" in refused.stderr) == (2, True)
    command = ("billing", "prod", "--files", "--variable", "SECRETS", "--", "sh", "-c", 'cat "$SECRETS/db-host"')
    assert run(*command, CREDENTIALS_DIRECTORY="/run/credentials/x").stdout == b"db1"


def test_who_is_not_root_has_files_too(tmp_path: Path) -> None:
    """In a user namespace that only the helper was in: the program itself is where it was."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: as after an execve
            directory = make_directory({"password": b"p"})
            os.dup2(write, 1)
            here = f"/proc/{os.getpid()}/fd/{directory}"
            os.execv("/bin/sh", ["sh", "-c", f"cat {here}/password; id -u; readlink /proc/self/ns/user"])  # noqa: S606
        finally:
            os._exit(99)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == f"p65534\n{os.readlink('/proc/self/ns/user')}\n"
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    ("arguments", "variables", "reason"),
    [
        (["billing", "prod"], {}, "no program was named"),
        (["billing", "prod", "--"], {}, "no program was named"),
        (["billing", "prod", "--", "no-such-program"], {}, "no program no-such-program"),
        (["billing", "prod", "--files", "--prefix", "A_", "--", "true"], {}, "--prefix is for variables"),
        (["billing", "prod", "--files", "--variable", "A-B", "--", "true"], {}, "no name of a variable"),
    ],
)
def test_what_is_wrong_before_is_refused_before_a_value_is_disclosed(
    fake: FakeSsod, run: Run, arguments: list[str], variables: dict[str, str], reason: str
) -> None:
    """Nothing was asked of ssod."""
    finished = run(*arguments, **variables)
    assert finished.returncode == 2
    assert reason in finished.stderr.decode()
    assert fake.requests == []


@pytest.mark.parametrize(
    ("properties", "variables", "reason"),
    [
        ({"password": "x"}, {"PASSWORD": "mine"}, "PASSWORD is set already"),
        ({"path": "/evil"}, {}, "PATH is set already"),
        ({"ld_preload": "/evil.so"}, {}, "LD_PRELOAD would be obeyed"),
        ({"pythonpath": "/evil"}, {}, "PYTHONPATH would be obeyed"),
        ({"env": "/evil.sh"}, {}, "ENV would be obeyed"),
        ({"node_options": "--require=/evil"}, {}, "NODE_OPTIONS would be obeyed"),
        ({"2nd": "x"}, {}, "2ND is no name of a variable"),
        ({"a-b": "x", "a_b": "y"}, {}, "two fields would both be variable A_B"),
        ({"a": "x\0y"}, {}, "holds a NUL"),
    ],
)
def test_no_value_takes_the_place_of_something_else(
    fake: FakeSsod, run: Run, properties: dict[str, str], variables: dict[str, str], reason: str
) -> None:
    """Who may change the configuration must not thereby change what the program is; the value is not told."""
    fake.answers[READ] = CONFIG | {"properties": properties}
    finished = run("billing", "prod", "--", "sh", "-c", "echo ran", **variables)
    assert (finished.returncode, finished.stdout) == (2, b"")
    assert reason in finished.stderr.decode()
    assert b"evil" not in finished.stderr


def test_a_refusal_of_ssod_runs_nothing(fake: FakeSsod, run: Run) -> None:
    """With the exit code that it always has."""
    fake.answers[READ] = problem(403, "forbidden")
    finished = run("billing", "prod", "--", "sh", "-c", "echo ran")
    assert (finished.returncode, finished.stdout) == (3, b"")


def test_values_from_the_cache_are_said_to_be(fake: FakeSsod, run: Run) -> None:
    """The program runs all the same."""
    fake.answers[READ] = CONFIG | {"cached_at": "2026-11-23T10:00:00Z"}
    finished = run("billing", "prod", "--", "sh", "-c", "echo ran")
    assert finished.stdout == b"ran\n"
    assert b"read at 2026-11-23T10:00:00Z" in finished.stderr


def test_help_says_where_the_program_stands(run: Run) -> None:
    """The usage line has it."""
    assert b" -- PROGRAM [ARGUMENT]..." in run("--help").stdout
