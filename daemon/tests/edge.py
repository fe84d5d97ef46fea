"""What the tests of the edge put into requests, and who they are sent by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# In every input that must leave no trace; it is in no name that may be written down.
CANARY = "canary-7f3a91"

# A certificate and its key.
Files = tuple[Path, Path]


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Connections made inside are those of another user: the kernel notes who connects, and nothing later."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
