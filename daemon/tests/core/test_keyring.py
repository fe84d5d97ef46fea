"""The keyring and its document: whole, or refused with a reason that quotes no secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys import CREATED, counting, keyring_of, secret, secret_of

from ssod.core.keyring import BadKeyring, Keyring, generate, key_id
from ssod.core.secretbytes import SecretBytes
from ssod.errors import UnknownKeyId

KEYS = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=4, unique=True)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_id_is_the_hkdf_of_the_secret(key: bytes) -> None:
    """The key id is HKDF-SHA256 as RFC 5869 writes it, without salt, with our words as info."""
    extracted = hmac.digest(bytes(32), key, hashlib.sha256)
    assert key_id(SecretBytes(key)) == hmac.digest(extracted, b"holdfast key id\x01", hashlib.sha256)[:16]


@given(KEYS, st.integers(0, 1 << 40), st.booleans(), st.text(max_size=40))
def test_a_keyring_survives_its_document(keys: list[bytes], epoch: int, backed_up: bool, environment: str) -> None:
    """Every part of a keyring is in its document, and comes back."""
    current, *retired = (secret_of(key) for key in keys)
    keyring = Keyring(environment, epoch, current, retired, backed_up=backed_up)
    again = Keyring.from_document(keyring.document())
    assert again.document() == keyring.document()
    assert again.etag == keyring.etag
    assert (again.environment, again.epoch, again.backed_up) == (environment, epoch, backed_up)
    assert again.current.id == current.id
    assert [key.secret.reveal() for key in again.keys.values()] == keys


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(keyring_of(1, 2).document())
    change(document)
    return json.dumps(document).encode()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


FAULTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda d: d.update(format="holdfast keyring 2"),
    "no format": lambda d: d.pop("format"),
    "an unknown member": lambda d: d.update(comment="x"),
    "an unknown member in a key": lambda d: d["keys"][0].update(comment="x"),
    "no environment": lambda d: d.pop("environment"),
    "an epoch that is text": lambda d: d.update(epoch="1"),
    "no word on the backup": lambda d: d.pop("backed_up"),
    "no keys": lambda d: d.update(keys=[]),
    "a current key that is not there": lambda d: d.update(current=secret(9).id.hex()),
    "a current key in capitals": lambda d: d.update(current=d["current"].upper() + "X"),
    "another secret's key id": lambda d: d["keys"][0].update(id=d["keys"][1]["id"]),
    "another key id's secret": lambda d: d["keys"][1].update(secret=encoded(b"s" * 32)),
    "a secret one byte short": lambda d: d["keys"][0].update(secret=encoded(b"s" * 31)),
    "a secret one byte long": lambda d: d["keys"][0].update(secret=encoded(b"s" * 33)),
    "an empty secret": lambda d: d["keys"][0].update(secret=""),
    "a secret that is not base64": lambda d: d["keys"][0].update(secret="!" * 44),
}


@pytest.mark.parametrize("change", FAULTS.values(), ids=FAULTS.keys())
def test_a_document_with_one_fault_is_refused_without_a_word_of_its_secrets(change: Callable[[dict[str, Any]], object]) -> None:
    """One wrong thing is enough, and the refusal does not quote what it read."""
    document = changed(change)
    with pytest.raises(BadKeyring) as refusal:
        Keyring.from_document(document)
    for number in (1, 2):
        assert encoded(secret(number).secret.reveal())[:8] not in str(refusal.value)


@given(st.data())
def test_a_document_that_is_cut_is_refused(data: st.DataObject) -> None:
    """No beginning of a document is a keyring."""
    document = keyring_of(1, 2).document()
    with pytest.raises(BadKeyring):
        Keyring.from_document(document[: data.draw(st.integers(0, len(document) - 1))])


@given(st.binary(max_size=200))
def test_random_bytes_are_no_keyring(content: bytes) -> None:
    """Whatever is read, it is refused and not a defect."""
    with pytest.raises(BadKeyring):
        Keyring.from_document(content)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_master_secret_has_32_bytes(length: int) -> None:
    """A secret of another length is not made."""
    with pytest.raises(ValueError, match="32 bytes"):
        secret_of(bytes(length))


def test_a_generated_secret_is_what_chance_gave() -> None:
    """The secret is 32 bytes of the injected source, and nothing else."""
    made = generate(counting(7), CREATED)
    assert made.secret.reveal() == counting(7)(32)
    assert made.created_at == CREATED


def test_retired_secrets_open_and_only_the_current_one_seals() -> None:
    """After a change of the secret the old ciphertexts open, and new ones carry the new key id."""
    from ssod.core.envelope import Place

    place = Place("a", "value", "b", "")
    old = keyring_of(1).seal(place, b"value", counting())
    keyring = keyring_of(2, 1)
    assert keyring.open(place, old) == b"value"
    assert keyring.seal(place, b"value", counting())[1:17] == secret(2).id
    with pytest.raises(UnknownKeyId) as refusal:
        keyring_of(2).open(place, old)
    assert secret(1).id.hex() in refusal.value.detail


def test_a_canary_opens_with_its_own_secret_alone() -> None:
    """The canary of one secret is no canary of another, nor is an altered one, nor an ordinary value."""
    mine, other = secret(1), secret(2)
    canary = mine.canary(counting())
    assert mine.opens_canary(canary)
    assert not other.opens_canary(canary)
    assert not mine.opens_canary(canary[:-1])
    assert not mine.opens_canary(canary[:1] + other.id + canary[17:])
    assert not mine.opens_canary(b"")


def test_failed_canaries_names_every_key_that_is_missing_or_wrong() -> None:
    """A keyring is compared with all canaries of the database, and each failure is a sentence."""
    good, wrong = secret(1).canary(counting()), secret(2).canary(counting())[:-1] + b"\0"
    canaries = {secret(1).id: good, secret(2).id: wrong, secret(3).id: secret(3).canary(counting())}
    assert keyring_of(1, 2).failed_canaries({secret(1).id: good}) == []
    assert keyring_of(1, 2).failed_canaries(canaries) == [
        f"the canary of key id {secret(2).id.hex()} does not open",
        f"key id {secret(3).id.hex()} is in the database and not in the keyring",
    ]


def test_the_etag_changes_with_everything_that_a_server_must_learn() -> None:
    """Another epoch, another current key, another retired one, another backup state: another etag."""
    keyring = keyring_of(1, 2)
    others = [
        keyring.at(2),
        keyring.with_backup(False),
        keyring_of(2, 1),
        keyring_of(1, 2, 3),
        keyring_of(1),
        keyring_of(1, 2, environment="another"),
    ]
    assert len({keyring.etag, *(other.etag for other in others)}) == len(others) + 1
    assert keyring_of(1, 2).etag == keyring.etag


def test_no_representation_shows_a_secret() -> None:
    """Printing a secret, a keyring or an error about them shows key ids only; pickling is refused."""
    key = b"k" * 32
    keyring = Keyring("environment", 1, secret_of(key), backed_up=True)
    holder = SecretBytes(key)
    for shown in (repr(holder), str(holder), f"{holder}", repr(keyring), str(keyring), repr(keyring.current), f"{keyring.keys}"):
        assert "kkk" not in shown
        assert key.hex()[:12] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(holder)
    assert len(holder) == 32
    assert not hasattr(holder, "__dict__")
