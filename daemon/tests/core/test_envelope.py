"""The envelope: what opens, what must never open, and the one spelling that is read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from keys import counting, keyring_of, secret_of

from ssod.core import envelope
from ssod.core.envelope import Place
from ssod.core.keyring import Keyring
from ssod.errors import CiphertextRejected, Rejected, UnknownKeyId

VECTORS = Path(__file__).parents[1] / "vectors"
FILES = sorted((VECTORS / "envelope").iterdir())

KEYRING = keyring_of(1)
PLACE = Place("sftp", "config", "inbound", "password")

parts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
places = st.builds(Place, parts, parts, parts, parts)
values = st.binary(max_size=200)


def read(path: Path) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in path.read_text("ascii").splitlines())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_vector_is_answered_as_its_file_expects(path: Path) -> None:
    """Each file opens to its plaintext, or is refused with the one problem that it names."""
    vector = read(path)
    secret = secret_of(bytes.fromhex(vector["key"]))
    keyring = Keyring("environment", 1, secret, backed_up=True)
    place = Place(*json.loads(vector["place"]))

    def opened() -> bytes:
        return keyring.open(place, envelope.from_text(json.loads(vector["text"])))

    if vector["expect"] == "open":
        assert opened() == bytes.fromhex(vector["plaintext"])
        return
    with pytest.raises(Rejected) as refusal:
        opened()
    assert refusal.value.problem == vector["expect"], vector["comment"]


def test_the_vectors_are_what_their_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file was edited, forgotten or left behind: the script gives just these."""
    monkeypatch.syspath_prepend(VECTORS)
    import make_envelopes

    sys.modules.pop("make_envelopes")
    assert {path.name: path.read_text("ascii") for path in FILES} == make_envelopes.files()


def test_an_envelope_is_laid_out_as_specified() -> None:
    """Version, key id, nonce, ciphertext and tag, in this order and at these places."""
    sealed = KEYRING.seal(PLACE, b"value", counting())
    assert sealed[0] == 1
    assert sealed[1:17] == KEYRING.current.id == envelope.key_id_of(sealed)
    assert sealed[17:41] == counting()(24)
    assert len(sealed) == 41 + len(b"value") + 16


@given(values, places)
def test_what_was_sealed_opens(value: bytes, place: Place) -> None:
    """Every value comes back from its place, through its text."""
    text = envelope.to_text(KEYRING.seal(place, value, counting()))
    assert KEYRING.open(place, envelope.from_text(text)) == value


@given(st.lists(values, min_size=1, max_size=20), places)
def test_a_batch_is_its_values_one_by_one(batch: list[bytes], place: Place) -> None:
    """A batch opens as a whole and each of its ciphertexts alone, and no nonce is used twice."""
    sealed = KEYRING.seal_many(place, batch, counting())
    assert KEYRING.open_many(place, sealed) == batch
    assert [KEYRING.open(place, each) for each in sealed] == batch
    assert len({each[17:41] for each in sealed}) == len(batch)


@given(values, st.data())
def test_no_flipped_bit_opens(value: bytes, data: st.DataObject) -> None:
    """Whichever bit of an envelope is flipped, it does not open."""
    sealed = bytearray(KEYRING.seal(PLACE, value, counting()))
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[at // 8] ^= 1 << at % 8
    with pytest.raises(Rejected):
        KEYRING.open(PLACE, bytes(sealed))


def test_no_bit_of_one_envelope_can_be_flipped() -> None:
    """All the bits of one envelope, each in its turn."""
    sealed = KEYRING.seal(PLACE, b"x", counting())
    for at in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[at // 8] ^= 1 << at % 8
        with pytest.raises(Rejected):
            KEYRING.open(PLACE, bytes(altered))


@given(values, st.data())
def test_no_cut_opens(value: bytes, data: st.DataObject) -> None:
    """Whatever is cut off at either end, the rest does not open."""
    sealed = KEYRING.seal(PLACE, value, counting())
    at = data.draw(st.integers(0, len(sealed) - 1))
    for rest in (sealed[:at], sealed[at + 1 :]):
        with pytest.raises(Rejected):
            KEYRING.open(PLACE, rest)


@given(places, places)
@example(Place("a", "bc", "", ""), Place("ab", "c", "", ""))
@example(Place("", "", "", "a"), Place("a", "", "", ""))
def test_no_other_place_opens(here: Place, there: Place) -> None:
    """A ciphertext opens only where it was sealed."""
    assume(here != there)
    sealed = KEYRING.seal(here, b"value", counting())
    with pytest.raises(CiphertextRejected):
        KEYRING.open(there, sealed)


@given(st.binary(min_size=32, max_size=32))
def test_no_other_key_opens(key: bytes) -> None:
    """Another key does not open it: not by its own id, and not under the id of the right one."""
    other = secret_of(key)
    assume(other.id != KEYRING.current.id)
    sealed = KEYRING.seal(PLACE, b"value", counting())
    stranger = Keyring("environment", 1, other, backed_up=True)
    with pytest.raises(UnknownKeyId):
        stranger.open(PLACE, sealed)
    with pytest.raises(CiphertextRejected):
        stranger.open(PLACE, sealed[:1] + other.id + sealed[17:])


@given(st.binary(max_size=120))
def test_a_text_has_one_spelling(content: bytes) -> None:
    """Every byte string has a text, and comes back from it."""
    text = envelope.to_text(content)
    assert text.startswith("hf1.")
    assert envelope.from_text(text) == content


@given(st.text(max_size=80) | st.from_regex(r"hf1\.[A-Za-z0-9_\-+/=]{0,60}", fullmatch=True))
def test_only_the_canonical_text_is_read(text: str) -> None:
    """Whatever is read is spelled just as it would be written; the rest is refused, and never a defect."""
    try:
        content = envelope.from_text(text)
    except CiphertextRejected as refusal:
        assert len(text) < 12 or text not in refusal.detail
    else:
        assert envelope.to_text(content) == text


@given(st.binary(max_size=120))
def test_random_bytes_are_refused_and_never_a_defect(content: bytes) -> None:
    """What nobody sealed is a refusal of the input."""
    with pytest.raises(Rejected):
        KEYRING.open(PLACE, content)


def test_a_batch_with_one_bad_ciphertext_gives_nothing() -> None:
    """All the plaintexts or none of them."""
    sealed = KEYRING.seal_many(PLACE, [b"a", b"b", b"c"], counting())
    with pytest.raises(CiphertextRejected):
        KEYRING.open_many(PLACE, [sealed[0], sealed[1][:-1], sealed[2]])
