"""How a benchmark that has a PostgreSQL of its own begins and ends: nothing of it is left, whatever happens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from figures import Figure, finish, say
from postgres import Postgres


def run(postgres: Postgres, measure: Callable[[Path], list[Figure]], report: Path, *, quick: bool) -> int:
    """The exit code: 1 when a target is missed, 2 when it could not be measured. `measure` is given a directory to work in."""
    try:
        postgres.start()
        with tempfile.TemporaryDirectory(prefix="hf-bench-") as root:
            figures = measure(Path(root))
    except AssertionError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        postgres.remove()
    return finish(figures, report, quick=quick)
