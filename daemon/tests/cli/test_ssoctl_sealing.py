"""`ssoctl sealing create` gives 32 random bytes to systemd-creds through a pipe, and never replaces a key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ssoctl_harness import Ssoctl

# Stands in for systemd's program: keeps its arguments and what it was piped, and writes that to the file, marked.
STAND_IN = """#!/bin/sh
printf '%s\\n' "$@" > "$(dirname "$0")/arguments"
cat > "$(dirname "$0")/piped"
{ printf 'sealed:'; cat "$(dirname "$0")/piped"; } > "$4"
"""
FAILING = "#!/bin/sh\ncat > /dev/null\necho 'no TPM2 device' >&2\necho half > \"$4\"\nexit 4\n"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the command refuses everybody but root, which another test holds it to")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def install(programs: Path, script: str) -> None:
    program = programs / "systemd-creds"
    program.write_text(script)
    program.chmod(0o755)


@needs_root
def test_the_key_goes_through_a_pipe_and_the_file_is_private(programs: Path, ssoctl: Ssoctl, tmp_path: Path) -> None:
    install(programs, STAND_IN)
    output = tmp_path / "key"
    assert ssoctl("sealing", "create", "--output", output).code == 0
    key = (programs / "piped").read_bytes()
    assert len(key) == 32
    assert (programs / "arguments").read_text().split()[:3] == ["encrypt", "--name=sealing-key", "-"]
    assert output.read_bytes() == b"sealed:" + key
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert output.stat().st_nlink == 1
    assert not list(tmp_path.glob(".*.new"))


@needs_root
def test_each_key_is_another(programs: Path, ssoctl: Ssoctl, tmp_path: Path) -> None:
    install(programs, STAND_IN)
    for name in ("one", "two"):
        ssoctl("sealing", "create", "--output", tmp_path / name)
    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()


@needs_root
@pytest.mark.parametrize("dangling", [False, True])
def test_a_key_that_exists_is_never_replaced(programs: Path, ssoctl: Ssoctl, tmp_path: Path, dangling: bool) -> None:
    install(programs, STAND_IN)
    output = tmp_path / "key"
    if dangling:
        output.symlink_to(tmp_path / "elsewhere")
    else:
        output.write_text("precious")
    finished = ssoctl("sealing", "create", "--output", output)
    assert finished.code == 2
    assert "exists already" in finished.err
    assert not (programs / "piped").exists()
    assert dangling or output.read_text() == "precious"


@needs_root
def test_a_key_that_appears_meanwhile_is_not_replaced_either(programs: Path, ssoctl: Ssoctl, tmp_path: Path) -> None:
    output = tmp_path / "key"
    install(programs, STAND_IN + f"echo precious > {output}\n")
    assert ssoctl("sealing", "create", "--output", output).code == 2
    assert output.read_text() == "precious\n"


@needs_root
def test_a_failure_of_systemd_creds_is_told_and_leaves_nothing(programs: Path, ssoctl: Ssoctl, tmp_path: Path) -> None:
    install(programs, FAILING)
    finished = ssoctl("sealing", "create", "--output", tmp_path / "key")
    assert finished.code == 2
    assert "no TPM2 device" in finished.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin"]


@needs_root
def test_without_systemd_creds_the_other_provider_is_named(ssoctl: Ssoctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finished = ssoctl("sealing", "create", "--output", tmp_path / "key")
    assert finished.code == 2
    assert 'provider = "file"' in finished.err


def test_only_root_may(ssoctl: Ssoctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ssoctl("sealing", "create", "--output", tmp_path / "key").code == 3
