"""Every way in which a command ends other than well, as one exception tree.

CliError                what, which, and what next; carries the exit code
├── ProblemAnswer       ssod answered with a problem document
├── Unreachable         no answer of ssod at all, or one that is not ssod's
├── Refused             you answered no, or ssod is known to
├── UsageRefused        the command line, a configuration or a local file must change first
├── NotAllowed          this user may not, before ssod was even asked
└── Temporary           something beside ssod cannot be had at the moment
"""

from __future__ import annotations

from collections.abc import Sequence

from ssod.cli.exit_codes import ExitCode, exit_code_of


class CliError(Exception):
    """An expected end: it is printed as a few lines, never as a traceback."""

    exit_code = ExitCode.REFUSED

    def __init__(
        self,
        what: str,
        *,
        next_step: str = "",
        conditions: Sequence[str] = (),
        tracking_id: str = "",
    ) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.conditions = tuple(conditions)
        self.tracking_id = tracking_id


class ProblemAnswer(CliError):
    """ssod's own refusal; `name` is the last word of the problem's type, such as `stale-epoch`."""

    def __init__(
        self,
        what: str,
        *,
        name: str,
        status: int,
        next_step: str = "",
        conditions: Sequence[str] = (),
        tracking_id: str = "",
    ) -> None:
        super().__init__(what, next_step=next_step, conditions=conditions, tracking_id=tracking_id)
        self.name = name
        self.status = status
        self.exit_code = exit_code_of(status, name)


class Unreachable(CliError):
    exit_code = ExitCode.UNREACHABLE


class Refused(CliError):
    exit_code = ExitCode.REFUSED


class UsageRefused(CliError):
    exit_code = ExitCode.USAGE


class NotAllowed(CliError):
    exit_code = ExitCode.NOT_ALLOWED


class Temporary(CliError):
    exit_code = ExitCode.TEMPORARY
