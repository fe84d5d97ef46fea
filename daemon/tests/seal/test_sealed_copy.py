"""The sealed copy on disk: complete or not at all, for this host's key alone, and 0600."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from at_once import at_once
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keys import counting, keyring_of

from ssod.core.aead import Xaes256Gcm
from ssod.core.cached import Vouched
from ssod.core.secretbytes import SecretBytes
from ssod.errors import ConfigurationRefused
from ssod.seal.copy import MAGIC, MAGIC_2, MAGIC_CACHE, SealBroken, SealedCopy, is_cache
from ssod.seal.files import destroy
from ssod.seal.keys import CREDENTIAL, KeyInMemory, SealingKey, SealUnavailable, key_from_file, keys_from_credentials
from ssod.seal.provider import sealing_keys

KEY = SecretBytes(b"k" * 32)
TPM = "sealing-key-tpm2"
VOUCHED = Vouched(1000.0, 1000.5)


def key(name: str = CREDENTIAL, content: SecretBytes = KEY) -> KeyInMemory:
    return KeyInMemory(name, content, counting())


def copy_in(directory: Path, *keys: SealingKey) -> SealedCopy:
    return SealedCopy(directory / "keyring.sealed", keys or [key()])


class Away:
    """A key whose token is not there."""

    name = "pkcs11"

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        raise SealUnavailable("the token is not there")

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        raise SealUnavailable("the token is not there")


def test_what_was_sealed_is_read_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    """The keyring comes back; there is one file, of mode 0600, without a word of it in clear."""
    copy = copy_in(tmp_path)
    assert copy.read() is None
    keyring = keyring_of(1, 2, epoch=7)
    copy.write(keyring)
    found = copy.read()
    assert found is not None
    assert found.keyring.document() == keyring.document()
    assert (found.key, found.vouched) == (CREDENTIAL, None)
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
        copy_in(tmp_path, key(content=SecretBytes(b"o" * 32))).read()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(("name", "vouched"), [(CREDENTIAL, None), (TPM, None), (CREDENTIAL, VOUCHED), (TPM, VOUCHED)])
@given(st.data())
def test_no_flipped_bit_and_no_cut_is_read(tmp_path: Path, name: str, vouched: Vouched | None, data: st.DataObject) -> None:
    """What was altered anywhere, of the keyring, of its age or of the key's name, is broken, and never a part of a keyring."""
    copy = copy_in(tmp_path, key(name), key("sealing-key-tpm3"))
    copy.write(keyring_of(1), vouched)
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
        assert at_once([partial(copy.write, keyring_of(1, epoch=epoch)) for epoch in range(8)]) == [(CREDENTIAL, None)] * 8
        found = copy.read()
        assert found is not None
        assert found.keyring.epoch in range(8)
    assert [file.name for file in tmp_path.iterdir()] == ["keyring.sealed"]


def test_a_write_that_fails_keeps_the_copy_that_was_there(tmp_path: Path) -> None:
    """The old copy is whole, and no half of a new one lies beside it."""

    class NoChance(Exception):
        pass

    def fails(_: int) -> bytes:
        raise NoChance

    copy_in(tmp_path).write(keyring_of(1))
    with pytest.raises(NoChance):
        copy_in(tmp_path, KeyInMemory(CREDENTIAL, KEY, fails)).write(keyring_of(2))
    found = copy_in(tmp_path).read()
    assert found is not None
    assert found.keyring.current.id == keyring_of(1).current.id
    assert len(list(tmp_path.iterdir())) == 1


def test_what_version_1_could_say_is_written_as_version_1(tmp_path: Path) -> None:
    """The release before opens it after a step back; a cache and another key are of a new version, which the first line says."""
    file = tmp_path / "keyring.sealed"
    for name, vouched, magic in (
        (CREDENTIAL, None, MAGIC),
        ("file", None, MAGIC),
        (TPM, None, MAGIC_2),
        (CREDENTIAL, VOUCHED, MAGIC_CACHE),
    ):
        copy_in(tmp_path, key(name)).write(keyring_of(1), vouched)
        assert file.read_bytes().startswith(magic)
        assert is_cache(file) is (vouched is not None)
        found = copy_in(tmp_path, key(name)).read()
        assert found is not None
        assert (found.key, found.vouched) == (name, vouched)
    copy_in(tmp_path).write(keyring_of(1))
    content = file.read_bytes().removeprefix(MAGIC)
    assert Xaes256Gcm(KEY.reveal()).open(content[:24], content[24:], MAGIC) == keyring_of(1).document()


def test_a_change_of_the_sealing_opens_with_either_key_and_seals_with_the_new_one(tmp_path: Path) -> None:
    old, new = key(), key(TPM, SecretBytes(b"n" * 32))
    copy_in(tmp_path, old).write(keyring_of(1))
    changing = copy_in(tmp_path, new, old)
    found = changing.read()
    assert found is not None
    assert found.key == CREDENTIAL
    assert changing.write(found.keyring) == (TPM, None)
    alone = copy_in(tmp_path, new).read()
    assert alone is not None
    assert alone.key == TPM
    with pytest.raises(SealBroken, match="was sealed with 'sealing-key-tpm2', and this host has sealing-key"):
        copy_in(tmp_path, old).read()


def test_a_copy_stays_under_its_key_while_the_new_one_cannot_be_used(tmp_path: Path) -> None:
    """A change to a token that is away: what changes meanwhile is sealed with the old key, and the reason is told."""
    copy_in(tmp_path).write(keyring_of(1))
    changing = copy_in(tmp_path, Away(), key())
    assert changing.write(keyring_of(2)) == (CREDENTIAL, "the token is not there")
    found = copy_in(tmp_path).read()
    assert found is not None
    assert found.keyring.current.id == keyring_of(2).current.id


def test_nothing_is_sealed_with_a_key_that_the_copy_has_left(tmp_path: Path) -> None:
    """It may have been destroyed since: the copy under the new one stays, though its token is away."""

    class Token(KeyInMemory):
        pass

    copy_in(tmp_path, Token("pkcs11", KEY, counting())).write(keyring_of(1))
    before = (tmp_path / "keyring.sealed").read_bytes()
    with pytest.raises(SealUnavailable, match="the token is not there"):
        copy_in(tmp_path, Away(), key()).write(keyring_of(2))
    assert (tmp_path / "keyring.sealed").read_bytes() == before


def test_what_is_destroyed_is_overwritten_first(tmp_path: Path) -> None:
    """A second name of the file holds zeros; one that is not there is no fault."""
    file, other = tmp_path / "keyring.sealed", tmp_path / "other"
    copy_in(tmp_path).write(keyring_of(1))
    size = file.stat().st_size
    other.hardlink_to(file)
    destroy(file)
    assert not file.exists()
    assert other.read_bytes() == bytes(size)
    destroy(file)


def test_a_sealing_key_in_a_file_is_made_once(tmp_path: Path) -> None:
    """The second start reads what the first has made, of mode 0600; it is not made where another key seals."""
    path = tmp_path / "sealing.key"
    assert key_from_file(path, counting(1), make=False) is None
    assert key_from_file(path, counting(1), make=True) is not None
    made = path.read_bytes()
    assert len(made) == 32
    assert key_from_file(path, counting(2), make=True) is not None
    assert path.read_bytes() == made
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"k" * 31, b"k" * 33])
def test_a_credential_that_is_no_key_ends_the_start(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or of another length: the refusal names what is to be done."""
    if content is not None:
        (tmp_path / TPM).write_bytes(content)
    for directory in (str(tmp_path), None):
        with pytest.raises(ConfigurationRefused) as refusal:
            keys_from_credentials(directory, TPM, counting())
        hint = "ssoctl sealing create" if content is not None and directory is not None else f"LoadCredentialEncrypted={TPM}"
        assert hint in refusal.value.conditions[0]


def test_the_configured_key_comes_first_and_the_others_open(tmp_path: Path) -> None:
    """Of what systemd gave and of what lies in the state directory; a credential of another use is no key."""
    for name in (CREDENTIAL, TPM, "other"):
        (tmp_path / name).write_bytes(name.encode().ljust(32, b"c"))
    (tmp_path / "sealing.key").write_bytes(b"f" * 32)
    none = tmp_path / "token.toml"

    def names(provider: str, credential: str = CREDENTIAL) -> list[str]:
        return [each.name for each in sealing_keys(provider, credential, none, tmp_path, str(tmp_path), counting())]

    assert names("systemd-creds", TPM) == [TPM, CREDENTIAL, "file"]
    assert names("systemd-creds") == [CREDENTIAL, TPM, "file"]
    assert names("file") == ["file", CREDENTIAL, TPM]
    with pytest.raises(ConfigurationRefused, match=r"token\.toml cannot be read"):
        names("pkcs11")
    none.write_text("module = 1")
    with pytest.raises(ConfigurationRefused, match=r"token\.toml is refused"):
        names("file")
