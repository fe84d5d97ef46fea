"""An ssod that kills itself at its Nth state change: `python crashing.py --config FILE`, with the directory of a Fuse in FUSE.

The state changes are found in the code as it runs, and not listed here: before and after each transaction that writes, and before
and after each writing of the sealed copy.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from ssod.core.cached import Vouched
from ssod.core.keyring import Keyring
from ssod.runtime.main import main
from ssod.seal.copy import SealedCopy, Written
from ssod.storage.repository import Database

# What a server writes every few seconds by itself is no step of an operation.
BY_ITSELF = ("SET confirmed_at", "UPDATE server SET", "certificate")


class Fuse:
    """In a directory: `count` says at which state change from now on the process ends; without that file, at none. `passed` has a
    line for each state change that was passed since it was lit.
    """

    def __init__(self, directory: Path) -> None:
        self._count = directory / "count"
        self._passed = directory / "passed"

    def light(self, count: int) -> None:
        self._passed.write_text("")
        self._count.write_text(str(count))

    def put_out(self) -> None:
        self._count.unlink(missing_ok=True)

    @property
    def passed(self) -> list[str]:
        return self._passed.read_text().splitlines()

    def burn(self, change: str) -> None:
        if not self._count.exists():
            return
        with self._passed.open("a") as passed:
            passed.write(f"{change}\n")
        if len(self.passed) >= int(self._count.read_text()):
            os.kill(os.getpid(), signal.SIGKILL)


def lay(fuse: Fuse) -> None:
    """Leads the fuse through the code."""
    use, write = Database.use, SealedCopy.write

    @contextmanager
    def watched(database: Database, engine: Engine) -> Iterator[Connection]:
        with use(database, engine) as connection:
            connection.info.pop("writes", None)
            yield connection
            writes = connection.info.pop("writes", None)
            if writes:
                fuse.burn(f"before the commit of {writes}")
        if writes:
            fuse.burn(f"after the commit of {writes}")

    def written(copy: SealedCopy, keyring: Keyring, vouched: Vouched | None = None) -> Written:
        fuse.burn("before the sealed copy is written")
        done = write(copy, keyring, vouched)
        fuse.burn("after the sealed copy is written")
        return done

    def note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")) and not any(each in statement for each in BY_ITSELF):
            connection.info["writes"] = " ".join(statement.split()[:3])

    Database.use = watched  # type: ignore[method-assign]
    SealedCopy.write = written  # type: ignore[method-assign]
    event.listen(Engine, "before_cursor_execute", note)


if __name__ == "__main__":
    lay(Fuse(Path(os.environ["FUSE"])))
    main()
