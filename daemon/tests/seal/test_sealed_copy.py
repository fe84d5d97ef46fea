"""The sealed copy on disk: complete or not at all, for this host's key alone, and 0600."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from at_once import at_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keys import counting, keyring_of

from ssod.core.secretbytes import SecretBytes
from ssod.errors import ConfigurationRefused
from ssod.seal import MAGIC, SealBroken, SealedCopy, sealing_key_from_credential, sealing_key_from_file

KEY = SecretBytes(b"k" * 32)


def copy_in(directory: Path, key: SecretBytes = KEY) -> SealedCopy:
    return SealedCopy(directory / "keyring.sealed", key, counting())


def test_what_was_sealed_is_read_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    """The keyring comes back; there is one file, of mode 0600, without a word of it in clear."""
    copy = copy_in(tmp_path)
    assert copy.read() is None
    keyring = keyring_of(1, 2, epoch=7)
    copy.write(keyring)
    found = copy.read()
    assert found is not None
    assert found.document() == keyring.document()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    assert content.startswith(MAGIC)
    assert b"epoch" not in content
    assert keyring.current.secret.reveal() not in content


def test_another_host_s_key_does_not_open_it(tmp_path: Path) -> None:
    """A disk that is carried to another host gives nothing away."""
    copy_in(tmp_path).write(keyring_of(1))
    with pytest.raises(SealBroken, match="does not open with this host's sealing key"):
        copy_in(tmp_path, SecretBytes(b"o" * 32)).read()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_flipped_bit_and_no_cut_is_read(tmp_path: Path, data: st.DataObject) -> None:
    """What was altered anywhere is broken, and never a part of a keyring."""
    copy = copy_in(tmp_path)
    copy.write(keyring_of(1))
    file = tmp_path / "keyring.sealed"
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) * 8 - 1))
    content[at // 8] ^= 1 << at % 8
    cut = file.read_bytes()[: data.draw(st.integers(0, len(content) - 1))]
    for wrong in (bytes(content), cut):
        file.write_bytes(wrong)
        with pytest.raises(SealBroken):
            copy.read()


def test_writers_at_once_leave_one_whole_copy(tmp_path: Path) -> None:
    """A refresh and an activation that seal at the same moment both succeed."""
    copy = copy_in(tmp_path)
    for _ in range(5):
        assert at_once([partial(copy.write, keyring_of(1, epoch=epoch)) for epoch in range(8)]) == [None] * 8
        found = copy.read()
        assert found is not None
        assert found.epoch in range(8)
    assert [file.name for file in tmp_path.iterdir()] == ["keyring.sealed"]


def test_a_write_that_fails_keeps_the_copy_that_was_there(tmp_path: Path) -> None:
    """The old copy is whole, and no half of a new one lies beside it."""

    class NoChance(Exception):
        pass

    def fails(_: int) -> bytes:
        raise NoChance

    copy_in(tmp_path).write(keyring_of(1))
    with pytest.raises(NoChance):
        SealedCopy(tmp_path / "keyring.sealed", KEY, fails).write(keyring_of(2))
    found = copy_in(tmp_path).read()
    assert found is not None
    assert found.current.id == keyring_of(1).current.id
    assert len(list(tmp_path.iterdir())) == 1


def test_a_sealing_key_in_a_file_is_made_once(tmp_path: Path) -> None:
    """The second start reads what the first has made, of mode 0600."""
    path = tmp_path / "sealing.key"
    made = sealing_key_from_file(path, counting(1)).reveal()
    assert sealing_key_from_file(path, counting(2)).reveal() == made
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"k" * 31, b"k" * 33])
def test_a_credential_that_is_no_key_ends_the_start(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or of another length: the refusal names the unit's line that is needed."""
    if content is not None:
        (tmp_path / "sealing-key").write_bytes(content)
    for directory in (str(tmp_path), None):
        with pytest.raises(ConfigurationRefused) as refusal:
            sealing_key_from_credential(directory)
        assert "LoadCredentialEncrypted=sealing-key" in refusal.value.conditions[0]


def test_the_credential_of_systemd_is_the_key(tmp_path: Path) -> None:
    """32 bytes, as systemd decrypted them."""
    (tmp_path / "sealing-key").write_bytes(b"c" * 32)
    assert sealing_key_from_credential(str(tmp_path)).reveal() == b"c" * 32
