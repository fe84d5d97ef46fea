"""At a terminal `ssoctl` asks; an interruption says what was done; and it starts without the daemon's heavy parts."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, Reply, Request, ok
from ssoctl_harness import Ssoctl, master_document
from test_ssoctl_backup import ABOUT, BACKUP, CANARY, VERIFY, verified
from test_ssoctl_master import ACTIVATED


def at_a_terminal(ssoctl: Ssoctl, arguments: Sequence[str | Path], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Runs `ssoctl` on a terminal of its own; types each answer once its question is on the screen."""
    terminal, inner = pty.openpty()
    # The terminal must be the process's controlling one: passphrases are asked on /dev/tty, and Ctrl-C is its doing.
    process = subprocess.Popen(
        ["setsid", "--ctty", *ssoctl.command(*arguments)],  # noqa: S607  where util-linux is differs between systems
        env=ssoctl.environment,
        stdin=inner,
        stdout=inner,
        stderr=inner,
    )
    os.close(inner)
    screen = ""
    waiting = list(answers)
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        screen += data.decode()
        if waiting and waiting[0][0] in screen:
            os.write(terminal, waiting.pop(0)[1].encode())
    os.close(terminal)
    return process.wait(20), screen


@pytest.mark.parametrize(("answer", "code", "asked"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("\x04", 1, 0)])
def test_a_destructive_verb_asks_and_takes_only_yes_for_yes(
    fake: FakeSsod, ssoctl: Ssoctl, answer: str, code: int, asked: int
) -> None:
    fake.answers["DELETE /v1/servers/s2"] = {}
    ended, screen = at_a_terminal(ssoctl, ["servers", "remove", "s2"], [("[y/N]", answer)])
    assert (ended, len(fake.requests)) == (code, asked)
    assert "This will remove server s2" in screen


def test_a_new_passphrase_is_asked_twice_and_not_shown(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    import base64

    fake.answers |= {
        "GET /v1/master": master_document(),
        "POST /v1/secret/backup": {"backup": base64.b64encode(BACKUP).decode(), "about": ABOUT},
        VERIFY: verified,
    }
    typed = [("for this backup: ", CANARY + "\n"), ("again: ", CANARY + "\n")]
    ended, screen = at_a_terminal(ssoctl, ["secret", "backup", "--output", tmp_path / "b.age"], typed)
    assert ended == 0, screen
    assert CANARY not in screen
    assert fake.requests[1].body == {"passphrase": CANARY}


def test_two_different_passphrases_make_nothing(fake: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    typed = [("for this backup: ", CANARY + "\n"), ("again: ", "another\n")]
    ended, screen = at_a_terminal(ssoctl, ["secret", "backup", "--output", tmp_path / "b.age"], typed)
    assert ended == 2
    assert "differ" in screen
    assert fake.requests == []


def test_ctrl_c_at_a_question_says_that_nothing_was_changed(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    ended, screen = at_a_terminal(ssoctl, ["servers", "remove", "s2"], [("[y/N]", "\x03")])
    assert ended == 130
    assert "interrupted" in screen and "nothing was changed" in screen
    assert fake.requests == []


def test_ctrl_c_during_an_act_says_that_it_was_perhaps_done(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    arrived, answer = threading.Event(), threading.Event()

    def activate(_: Request) -> Reply:
        arrived.set()
        answer.wait(20)
        return ok(ACTIVATED)

    fake.answers["POST /v1/master/activate"] = activate
    with subprocess.Popen(
        ssoctl.command("master", "activate"), env=ssoctl.environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert arrived.wait(20)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        answer.set()
    assert process.returncode == 130
    assert "perhaps done: this server was made the master; look with: ssoctl master status" in err
    assert "Traceback" not in err


def test_status_starts_without_the_database_and_cryptography(ssoctl: Ssoctl) -> None:
    probe = "import sys, ssod.cli.main as m; m.run(['--socket', '/absent', 'status']); print(*sys.modules)"
    finished = subprocess.run([sys.executable, "-c", probe], env=ssoctl.environment, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in finished.stdout.split()}
    assert not loaded & {"sqlalchemy", "alembic", "cryptography", "psycopg", "uvicorn", "pyrage", "httpcore"}
