"""A sealing key on a PKCS#11 token, SoftHSM 2: it never leaves it; a token that is away, or refuses the PIN, is a reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pkcs11
import pytest
from keys import keyring_of
from pkcs11 import Attribute, KeyType
from softhsm import MODULE, PIN, SoftHsm

from ssod.core.aead import DoesNotOpen
from ssod.core.secretbytes import SecretBytes
from ssod.seal.copy import MAGIC_2, SealBroken, SealedCopy
from ssod.seal.keys import SealUnavailable
from ssod.seal.pkcs11_token import TokenDescription, TokenKey

HOLDFAST = TokenDescription(MODULE, "holdfast", "holdfast m1")


@pytest.fixture
def hsm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    """With a token `holdfast`; the library, which this process has once, is begun anew for it."""
    made = SoftHsm(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    made.make("holdfast")
    pkcs11.lib(MODULE).reinitialize()
    yield made
    pkcs11.lib(MODULE).finalize()


def chance(count: int) -> bytes:
    return Path("/dev/urandom").open("rb").read(count)


def token_key(description: TokenDescription = HOLDFAST, pin: str | None = PIN) -> TokenKey:
    return TokenKey(description, SecretBytes(pin.encode()) if pin is not None else None, chance)


def session() -> pkcs11.Session:
    return pkcs11.lib(MODULE).get_token(token_label="holdfast").open(rw=True)


def test_the_keyring_is_sealed_by_a_key_that_never_leaves_the_token(hsm: SoftHsm, tmp_path: Path) -> None:
    """The token makes it, of 256 bits, sensitive and not extractable; another process opens with it."""
    SealedCopy(tmp_path / "keyring.sealed", [token_key()]).write(keyring_of(1, 2))
    found = SealedCopy(tmp_path / "keyring.sealed", [token_key()]).read()
    assert found is not None
    assert found.keyring.document() == keyring_of(1, 2).document()
    assert (tmp_path / "keyring.sealed").read_bytes().startswith(MAGIC_2 + b"pkcs11\n")
    (key,) = session().get_objects({Attribute.LABEL: "holdfast m1"})
    assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE], key[Attribute.VALUE_LEN]) == (True, False, 32)
    with pytest.raises(pkcs11.AttributeSensitive):
        key[Attribute.VALUE]


def test_each_part_that_is_altered_does_not_open(hsm: SoftHsm) -> None:
    """The IV, the data key, the nonce, the ciphertext and what is associated."""
    key = token_key()
    sealed = key.seal(b"secret", b"header")
    assert key.open(sealed, b"header") == b"secret"
    for at in (0, 12, 59, 60, 84, len(sealed) - 1):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(DoesNotOpen):
            key.open(altered, b"header")
    for wrong, associated in ((sealed[:59], b"header"), (sealed[:-1], b"header"), (sealed, b"other")):
        with pytest.raises(DoesNotOpen):
            key.open(wrong, associated)


def test_a_key_that_another_token_made_is_missed_and_not_made_by_reading(hsm: SoftHsm, tmp_path: Path) -> None:
    hsm.make("other")
    pkcs11.lib(MODULE).reinitialize()
    other = TokenDescription(MODULE, "other", "holdfast m1")
    SealedCopy(tmp_path / "keyring.sealed", [token_key()]).write(keyring_of(1))
    reading = SealedCopy(tmp_path / "keyring.sealed", [token_key(other)])
    for _ in range(2):
        with pytest.raises(SealUnavailable, match="has no key of the label 'holdfast m1'"):
            reading.read()
    token_key(other).seal(b"", b"")
    with pytest.raises(SealBroken):
        SealedCopy(tmp_path / "keyring.sealed", [token_key(other)]).read()


def test_a_token_that_is_taken_out_is_a_reason_and_is_used_again_when_it_is_back(hsm: SoftHsm) -> None:
    away = token_key(TokenDescription(MODULE, "nowhere", "k"))
    with pytest.raises(SealUnavailable, match="the token 'nowhere' is not there"):
        away.seal(b"", b"")
    hsm.make("nowhere")
    sealed = away.seal(b"secret", b"")
    assert away.open(sealed, b"") == b"secret"
    pkcs11.lib(MODULE).reinitialize()  # every session ends, as when a token is taken out
    assert away.open(sealed, b"") == b"secret"


def test_a_refused_pin_is_not_tried_again(hsm: SoftHsm) -> None:
    """The token counts no second try, whatever is asked meanwhile; also the right one works only with another start."""
    key = token_key(pin="wrong-pin")
    with pytest.raises(SealUnavailable, match=r"refuses the PIN .*; it is not tried again before a restart"):
        key.seal(b"", b"")
    # Were it tried, a token that is gone would be the reason.
    hsm.take_out()
    for _ in range(3):
        with pytest.raises(SealUnavailable, match="refuses the PIN"):
            key.open(b"x" * 200, b"")
    hsm.put_back()
    pkcs11.lib(MODULE).reinitialize()
    assert token_key().open(token_key().seal(b"secret", b""), b"") == b"secret"


@pytest.mark.parametrize(
    ("description", "pin", "reason"),
    [
        (HOLDFAST, None, "there is no credential sealing-pin"),
        (TokenDescription("/nowhere.so", "holdfast", "k"), PIN, "the PKCS#11 module /nowhere.so is not there"),
        (TokenDescription("/etc/passwd", "holdfast", "k"), PIN, "the PKCS#11 module /etc/passwd cannot be used"),
    ],
)
def test_what_is_missing_is_named(hsm: SoftHsm, description: TokenDescription, pin: str | None, reason: str) -> None:
    with pytest.raises(SealUnavailable, match=reason):
        token_key(description, pin).seal(b"", b"")


def test_a_key_that_can_be_taken_out_and_one_of_two_are_refused(hsm: SoftHsm) -> None:
    opened = pkcs11.lib(MODULE).get_token(token_label="holdfast").open(rw=True, user_pin=PIN)
    weak = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
    opened.generate_key(KeyType.AES, 256, label="weak", store=True, template=weak)
    for _ in range(2):
        opened.generate_key(KeyType.AES, 256, label="two", store=True)
    opened.close()
    for label, reason in (("weak", "can be taken out of it"), ("two", "has 2 keys of the label")):
        with pytest.raises(SealUnavailable, match=reason):
            token_key(TokenDescription(MODULE, "holdfast", label)).seal(b"", b"")


def test_nobody_loads_the_library_who_uses_no_token() -> None:
    """A daemon that seals otherwise has no need of it, also where it is not installed for this machine."""
    code = "import sys, ssod.runtime.main; print('pkcs11' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
