"""`ssoctl sealing` gives keys and PINs to systemd-creds through a pipe, and never replaces a key."""

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
{ printf 'sealed:'; cat "$(dirname "$0")/piped"; } > "$5"
"""
# The same, and it opens what it has sealed.
BOTH_WAYS = STAND_IN.replace("#!/bin/sh\n", '#!/bin/sh\n[ "$1" = encrypt ] || { cut -c8- "$3" | tr -d \'\\n\'; exit; }\n')

FAILING = "#!/bin/sh\ncat > /dev/null\necho 'no TPM2 device' >&2\necho half > \"$5\"\nexit 4\n"

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
    assert (programs / "arguments").read_text().split()[:4] == ["encrypt", "--name=sealing-key", "--with-key=auto", "-"]
    assert output.read_bytes() == b"sealed:" + key
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert output.stat().st_nlink == 1
    assert not list(tmp_path.glob(".*.new"))


@needs_root
def test_a_key_is_bound_to_its_name_and_to_what_it_is_encrypted_by(programs: Path, ssoctl: Ssoctl, tmp_path: Path) -> None:
    install(programs, STAND_IN)
    output = tmp_path / "sealing-key-host+tpm2.cred"
    assert ssoctl("sealing", "create", "--output", output, "--with-key", "host+tpm2").code == 0
    assert (programs / "arguments").read_text().split()[1:3] == ["--name=sealing-key-host+tpm2", "--with-key=host+tpm2"]


@needs_root
def test_a_pin_is_written_once_and_again_when_it_is_another(programs: Path, ssoctl: Ssoctl, tmp_path: Path) -> None:
    """It goes through a pipe, whole and without its line end; --check tells and writes nothing."""
    install(programs, BOTH_WAYS)
    output, given = tmp_path / "sealing-pin.cred", tmp_path / "pin"
    given.write_text("1234\n")
    asked = ("sealing", "pin", "--output", output, "--pin-file", given)
    assert "would be made" in ssoctl(*asked, "--check").out
    assert not output.exists()
    assert "is made" in ssoctl(*asked).out
    assert (programs / "piped").read_text() == "1234"
    assert "1234" not in (programs / "arguments").read_text()
    assert (programs / "arguments").read_text().split()[1] == "--name=sealing-pin"
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    assert "holds this PIN already" in ssoctl(*asked).out
    given.write_text("5678\n")
    assert "would be made" in ssoctl(*asked, "--check").out
    assert "is made" in ssoctl(*asked).out
    assert (programs / "piped").read_text() == "5678"


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
