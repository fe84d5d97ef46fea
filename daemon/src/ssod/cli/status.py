"""`ssoctl status` and `ssoctl selftest`: how this server is, told by the server itself."""

from __future__ import annotations

import typer

from ssod.cli.client import path_of
from ssod.cli.documents import SelfTest, Status
from ssod.cli.errors import CliError
from ssod.cli.exit_codes import ExitCode
from ssod.cli.output import say, show, show_document
from ssod.cli.session import AsJson, session_of
from ssod.cli.tables import servers_table, status_facts


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """How this server and its environment are. Exit code 0: attached; 5: not; 6: ssod cannot be reached."""
    answer = session_of(context).client.read(path_of("status"), Status)
    if as_json:
        show_document(answer.raw)
    else:
        _show(answer.document)
    if answer.document.server.state != "attached":
        raise typer.Exit(ExitCode.TEMPORARY)


def _show(status: Status) -> None:
    say(status.server.sentence)
    say("")
    show(status_facts(status))
    if status.servers is not None:
        environment = status.environment
        say("")
        show(
            servers_table(
                status.servers,
                master=environment.master if environment else None,
                current_key_id=environment.current_key_id if environment else None,
            )
        )


def selftest(context: typer.Context, as_json: AsJson = False) -> None:
    """Have ssod encrypt and decrypt something, now, with the keyring it holds."""
    answer = session_of(context).client.compute(path_of("selftest"), {}, SelfTest)
    if as_json:
        show_document(answer.raw)
    if not answer.document.ok:
        raise CliError("ssod's self-test failed: what it encrypted did not decrypt to the same", next_step="see `ssoctl status`")
    if not as_json:
        say(f"ok: key id {answer.document.key_id}, {answer.document.micros:.0f} microseconds")
