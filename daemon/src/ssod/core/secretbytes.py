"""Key bytes as a type that never prints itself."""

from __future__ import annotations

from typing import Final


class SecretBytes:
    """Holds key bytes. `repr`, `str`, pickling and comparison by accident show or leak nothing.

    Call `.reveal()` where the bytes are used; grep for it to find every such place.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value: Final = value

    def reveal(self) -> bytes:
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"SecretBytes({len(self._value)} bytes)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("key bytes are not pickled")
