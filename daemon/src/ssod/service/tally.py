"""How far a re-encryption is, kept as numbers on the master: whoever asks every few seconds costs the database nothing."""

from __future__ import annotations

from typing import Literal, get_args

from ssod.core.states import Mastership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.storage.rotation import RotationRepository

Phase = Literal["idle", "prepared", "backed_up", "re_encrypting"]
PHASES: tuple[Phase, ...] = get_args(Phase)


class Tally:
    """`renewed` values were re-encrypted by this process; `damaged` did not open in the newest pass over all of them."""

    def __init__(self, node: Node, repository: RotationRepository, offload: Offload) -> None:
        self._node = node
        self._repository = repository
        self._offload = offload
        self.renewed = 0
        self.damaged = 0
        # Under which current key how many were left.
        self._known: tuple[bytes, int] | None = None

    @property
    def _current(self) -> bytes | None:
        """None where another server is the master, or there is nothing to rotate: then nothing is said here."""
        environment = self._node.environment
        return environment.current_key_id if environment is not None and self._node.mastership is Mastership.ACTIVE else None

    @property
    def left(self) -> int | None:
        """How many values are under a retired key; None where this server does not know."""
        if self._known is None or self._known[0] != self._current:
            return None
        return self._known[1]

    @property
    def phase(self) -> Phase | None:
        environment = self._node.environment
        if environment is None or self._current is None:
            return None
        if environment.next_key is not None:
            return "prepared" if environment.next_key.backup is None else "backed_up"
        return "re_encrypting" if self.left else "idle"

    @property
    def is_unknown(self) -> bool:
        """Whether this server is the master, and has not yet counted what is left under this key."""
        return self._current is not None and self.left is None

    async def count(self) -> None:
        """Has the database count what is left: it goes through those alone, by an index. Raises DatabaseUnavailable."""
        current, environment, before = self._current, self._node.environment, self.renewed
        if current is None or environment is None:
            return
        retired = [key.key_id for key in environment.keys if key.key_id != current]
        self.know(current, await self._offload(self._repository.left, retired), before)

    def know(self, current: bytes, left: int, renewed_before: int) -> None:
        """Takes what the database counted, unless a batch was re-encrypted while it did."""
        if self.renewed == renewed_before:
            self._known = (current, left)

    def batch(self, renewed: int, damaged: int, *, first: bool) -> None:
        """After each batch of a pass; `first` begins one."""
        self.renewed += renewed
        self.damaged = damaged if first else self.damaged + damaged
        if self._known is not None:
            self._known = (self._known[0], max(0, self._known[1] - renewed))
