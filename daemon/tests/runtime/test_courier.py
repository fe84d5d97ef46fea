"""News is carried to one receiver in its order, tried a few times, and given up aloud."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from waiting import wait_for

from ssod.runtime.courier import WAITING, Courier
from ssod.runtime.program import Program, problem
from ssod.service.ports import NotDelivered


class Receiver:
    """Refuses the first so many."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.got: list[bytes] = []

    async def __call__(self, body: bytes) -> None:
        self.got.append(body)
        if len(self.got) <= self.refusals:
            raise NotDelivered("it answered 500")


@pytest.mark.parametrize(("refusals", "attempts", "delivered"), [(0, 1, True), (3, 4, True), (4, 4, False), (9, 4, False)])
def test_it_is_tried_four_times(refusals: int, attempts: int, delivered: bool, capfd: pytest.CaptureFixture[str]) -> None:
    counted: list[bool] = []
    receiver = Receiver(refusals)
    courier = Courier("webhook", receiver, counted.append, (0.0, 0.0, 0.0))

    async def story() -> None:
        courier.take("SsoMasterLost", b"body")
        await courier.once()

    asyncio.run(story())
    assert (receiver.got, counted) == ([b"body"] * attempts, [delivered])
    assert ("could not be told" in capfd.readouterr().err) is not delivered


def test_news_that_comes_while_too_much_waits_is_given_up_and_counted() -> None:
    """And what waits is delivered in its order."""
    counted: list[bool] = []
    receiver = Receiver(0)
    courier = Courier("webhook", receiver, counted.append)

    async def story() -> None:
        for number in range(WAITING + 1):
            courier.take("SsoMasterLost", str(number).encode())
        assert counted == [False]
        for _ in range(WAITING):
            await courier.once()

    asyncio.run(story())
    assert receiver.got == [str(number).encode() for number in range(WAITING)]


def written(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_program_reads_the_message_and_what_it_says_goes_where_ours_does(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """To the journal, under systemd: standard error, both of it."""
    Program(str(written(tmp_path / "program", f"cat >{tmp_path}/got; echo said; echo complained >&2; pwd")))(b"body")
    assert (tmp_path / "got").read_bytes() == b"body"
    assert capfd.readouterr() == ("", "said\ncomplained\n/\n")


def test_a_program_that_does_not_read_is_no_fault(tmp_path: Path) -> None:
    Program(str(written(tmp_path / "program", "exec true")))(b"x" * 1_000_000)


def test_a_program_has_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/ssod.service")
    Program(str(written(tmp_path / "program", f"env >{tmp_path}/got")))(b"")
    given = (tmp_path / "got").read_text()
    assert "PATH=/usr/local/bin:/usr/bin:/bin" in given
    assert "CREDENTIALS" not in given


def test_a_program_has_no_file_of_ours_open(tmp_path: Path) -> None:
    """Neither a socket nor a database."""
    with (tmp_path / "ours").open("w"):
        Program(str(written(tmp_path / "program", f"ls -l /proc/$$/fd >{tmp_path}/got")))(b"")
    assert "ours" not in (tmp_path / "got").read_text().replace(str(tmp_path / "got"), "")


def test_a_program_that_fails_has_told_nobody(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="it ended with 3"):
        Program(str(written(tmp_path / "program", "exit 3")))(b"")


def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    program = written(tmp_path / "program", f"sleep 1000 & echo $! >{tmp_path}/child; wait")
    with pytest.raises(NotDelivered, match="did not end within"):
        Program(str(program), seconds=1.0)(b"")
    child = int((tmp_path / "child").read_text())

    def is_gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    wait_for(is_gone, "its child was killed")


def test_a_program_is_started_only_if_nobody_else_could_have_written_it(tmp_path: Path) -> None:
    """Nor put another in its place, by its directory or by a link."""
    directory = tmp_path / "directory"
    directory.mkdir(mode=0o755)
    program = written(directory / "program", "true")
    assert problem(str(program)) is None
    link = tmp_path / "link"
    link.symlink_to(program)
    assert problem(str(link)) is None
    for path, mode in ((program, 0o775), (program, 0o757), (directory, 0o777), (directory, 0o775)):
        before = path.stat().st_mode
        path.chmod(mode)
        for name in (program, link):
            assert "can be written by others" in str(problem(str(name)))
        with pytest.raises(NotDelivered):
            Program(str(program))(b"")
        path.chmod(before)
    program.chmod(0o644)
    assert "is no file that ssod may run" in str(problem(str(program)))
    assert "is no file that ssod may run" in str(problem(str(directory)))
    assert "No such file" in str(problem(str(tmp_path / "absent")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to somebody else")
def test_a_program_of_another_user_is_not_started(tmp_path: Path) -> None:
    program = written(tmp_path / "program", "true")
    os.chown(program, 65534, 65534)
    assert "can be written by others" in str(problem(str(program)))


def test_signal_of_a_program_is_a_failure_too(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match=f"it ended with -{signal.SIGTERM.value}"):
        Program(str(written(tmp_path / "program", "kill $$")))(b"")
