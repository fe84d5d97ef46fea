"""What each exit code of `ssoctl` means; docs/ssoctl.md and the epilogue of `--help` say the same."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Scripts and the Pacemaker agent branch on these numbers: they are part of the interface."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    NOT_ALLOWED = 3
    NOT_FOUND = 4
    TEMPORARY = 5
    UNREACHABLE = 6
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done, or already so",
    ExitCode.REFUSED: "ssod refused (409, 422), failed (500), or you answered no",
    ExitCode.USAGE: "usage, configuration, or a local file",
    ExitCode.NOT_ALLOWED: "you are not allowed to (403)",
    ExitCode.NOT_FOUND: "there is no such thing (404)",
    ExitCode.TEMPORARY: "temporarily impossible (503); `status`: detached",
    ExitCode.UNREACHABLE: "ssod cannot be reached",
    ExitCode.INTERRUPTED: "interrupted; stderr says what was done",
}

_BY_STATUS = {
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.REFUSED,
    422: ExitCode.REFUSED,
    503: ExitCode.TEMPORARY,
}


def exit_code_of(status: int, problem: str) -> ExitCode:
    """The exit code for an HTTP status of 400 or more, and the last word of the problem's type."""
    if problem == "no-such-path":
        # Two versions that do not know each other: scripts take 4 for "it is absent", which this does not say.
        return ExitCode.USAGE
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ExitCode.USAGE if status < 500 else ExitCode.REFUSED
