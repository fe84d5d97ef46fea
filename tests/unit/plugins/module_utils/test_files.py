# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials and files on the managed host."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.holdfast.sso.plugins.module_utils import _credentials, _files
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError


def private(path: pathlib.Path, content: bytes, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("content", "credential"),
    [(b"correct horse", "correct horse"), (b"correct horse\n", "correct horse"), (b"two\n\n", "two\n"), (b" sp \n", " sp ")],
)
def test_one_trailing_newline_is_left_out(tmp_path: pathlib.Path, content: bytes, credential: str) -> None:
    """An editor's newline is no part of a passphrase; everything else is."""
    assert _credentials.read_credential(private(tmp_path / "p", content)) == credential


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o666])
def test_a_file_that_others_can_use_is_refused_with_the_fix(tmp_path: pathlib.Path, mode: int) -> None:
    """The refusal names the mode and the command that mends it."""
    path = private(tmp_path / "p", b"canary", mode)
    with pytest.raises(SsodError) as raised:
        _credentials.read_credential(path)
    assert raised.value.next_step == f"chmod 0600 {path}"
    assert f"{mode:04o}" in raised.value.detail
    assert "canary" not in raised.value.sentence()


def test_what_is_no_credential_file_is_refused(tmp_path: pathlib.Path) -> None:
    """A missing file, a directory, a pipe, something large and something binary are all told apart."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    files = {
        "No such file": str(tmp_path / "none"),
        "not a regular file": str(tmp_path / "pipe"),
        "bytes are too many": private(tmp_path / "large", b"x" * (_credentials.LARGEST_CREDENTIAL + 1)),
        "not UTF-8": private(tmp_path / "binary", b"\xff\xfe"),
    }
    for why, path in files.items():
        with pytest.raises(SsodError, match=why) as raised:
            _credentials.read_credential(path)
        assert raised.value.problem == "credential-unusable"
        assert raised.value.next_step


def test_a_draft_is_private_and_takes_the_place_in_one_step(tmp_path: pathlib.Path) -> None:
    """Until it is published the old content is there; nothing is left over."""
    destination = tmp_path / "f"
    destination.write_text("old")
    with _files.draft_of(str(destination)) as draft:
        draft.write(b"new")
        assert os.stat(draft.path).st_mode & 0o777 == 0o600
        assert destination.read_text() == "old"
        draft.publish()
    assert destination.read_text() == "new"
    assert os.listdir(tmp_path) == ["f"]


def test_a_draft_that_is_not_published_leaves_nothing(tmp_path: pathlib.Path) -> None:
    """A failure between writing and publishing leaves the old file alone in the directory."""
    destination = tmp_path / "f"
    destination.write_text("old")
    with pytest.raises(ZeroDivisionError), _files.draft_of(str(destination)) as draft:
        draft.write(b"new")
        raise ZeroDivisionError
    assert destination.read_text() == "old"
    assert os.listdir(tmp_path) == ["f"]


def test_a_directory_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    """The error says which file, and what to check."""
    with pytest.raises(SsodError, match="cannot be written") as raised, _files.draft_of(str(tmp_path / "no" / "f")):
        pass
    assert str(tmp_path / "no") in raised.value.next_step
