"""What ssod says to the journal: one line an event, on standard error, which systemd keeps. Never a value, a body or a key."""

from __future__ import annotations

import logging
import sys
import traceback


def quiet_libraries() -> None:
    """Of the libraries only what somebody may have to act on; what one would say of a request the state machine says better."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpcore").setLevel(logging.ERROR)


def _write(level: str, event: str, fields: dict[str, object]) -> None:
    pairs = {"level": level, "event": event, **fields}
    print(" ".join(f"{name}={value!r}" for name, value in pairs.items()), file=sys.stderr, flush=True)


def info(event: str, **fields: object) -> None:
    _write("info", event, fields)


def warning(event: str, **fields: object) -> None:
    _write("warning", event, fields)


def error(event: str, *, cause: BaseException | None = None, **fields: object) -> None:
    """With the traceback of `cause`."""
    if cause is not None:
        fields["exception"] = "".join(traceback.format_exception(cause)).rstrip()
    _write("error", event, fields)
