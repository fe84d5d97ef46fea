"""Values that a caller gives as an export gave them out: opened where they belong, they are what he might have written himself."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ssod.core import envelope
from ssod.core.envelope import Place
from ssod.core.keyring import Keyring


class Ciphertexts(NamedTuple):
    """By field, as text."""

    texts: dict[str, str]

    def opened(self, keyring: Keyring, place: Callable[[str], Place]) -> dict[str, str]:
        """The values by field. Raises CiphertextRejected, UnknownKeyId."""
        return {field: keyring.open(place(field), envelope.from_text(text)).decode() for field, text in self.texts.items()}
