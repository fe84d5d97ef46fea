"""A daemon that is killed at every state change of its operations, found by running them, starts again and keeps every promise."""

from __future__ import annotations

import base64
import http.client
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crashing import Fuse
from servers import IDENTITY, Fleet, Server, back_up
from waiting import wait_for

# An operation that passes more than this does something without an end.
MOST = 60
CONFIGS = 3

Act = Callable[["Story"], None]


class Story:
    """A master with a fuse, a standby and a server; and every value that was acknowledged."""

    def __init__(self, fleet: Fleet, fuse: Fuse) -> None:
        self.fuse = fuse
        self.master, self.standby, self.plain = fleet["m1"], fleet["m2"], fleet["s1"]
        self.ciphertexts: list[str] = []
        self.configs: dict[str, str] = {}

    def write(self) -> None:
        """One more value of either kind, by the server that is not killed. As many configurations as make a few batches."""
        value = f"n{len(self.ciphertexts)}"
        self.ciphertexts.append(self.plain.encrypt(value.encode()))
        name = f"c{len(self.ciphertexts) % CONFIGS}"
        self.plain.ok("PUT", f"/v1/applications/app/config/{name}", {"properties": {"host": value}})
        self.configs[name] = value

    def is_settled(self) -> bool:
        status = self.master.status()
        return status["mastership"] == "active" or status["master"] is None

    def keeps_its_promises(self) -> None:
        """Everything that was acknowledged opens on every server, all hold one keyring, and new values are taken."""
        servers = (self.master, self.standby, self.plain)
        # A master that was killed acts again as soon as the database has confirmed it.
        wait_for(lambda: all(server.status()["can_encrypt"] for server in servers), "all can encrypt")
        wait_for(lambda: len({server.status()["key_id"] for server in servers}) == 1, "all hold one current secret")
        secret = self.master.ok("GET", "/v1/secret")
        assert secret["current_key_id"] == secret["backup"]["key_id"], "nothing is encrypted without a backup"
        assert self.standby.status()["sealed_key_id"] == secret["current_key_id"]
        for server in servers:
            for number, ciphertext in enumerate(self.ciphertexts):
                assert server.decrypt(ciphertext) == b"n%d" % number
            for name, value in self.configs.items():
                assert server.ok("GET", f"/v1/applications/app/config/{name}")["properties"] == {"host": value}
        self.write()


@pytest.fixture
def story(fleet: Callable[..., Fleet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Story:
    directory = tmp_path / "fuse"
    directory.mkdir()
    monkeypatch.setenv("FUSE", str(directory))
    story = Story(fleet("m1", "m2", "s1"), Fuse(directory))
    story.master.stop()
    story.master.program = (str(Path(__file__).parents[1] / "crashing.py"),)
    story.master.start()
    story.keeps_its_promises()
    return story


def carried_through(story: Story, act: Act, before: Act = lambda _: None) -> list[str]:
    """Repeats `act`, killed one state change later each time, until it has passed all of them; they are returned.

    `before` is what each time begins with. After each kill the server starts again, `act` is carried through, and everything is as
    it was promised.
    """
    for count in range(1, MOST):
        before(story)
        story.fuse.light(count)
        try:
            act(story)
        except (OSError, http.client.HTTPException):
            assert story.master.process is not None
            assert story.master.process.wait(10) == -signal.SIGKILL
        story.fuse.put_out()
        passed = story.fuse.passed
        process = story.master.process
        assert process is not None
        if process.poll() is None:
            assert len(passed) < count, f"passed {passed} without being killed"
            story.keeps_its_promises()
            return passed
        assert story.plain.decrypt(story.ciphertexts[0]) == b"n0", "decryption goes on without the master"
        story.master.stop()
        story.master.start()
        wait_for(story.is_settled, "it is the master again, unless it has stepped down")
        act(story)
        story.keeps_its_promises()
    raise AssertionError(f"more than {MOST} state changes")


def rotation(story: Story) -> None:
    """All its steps, as rotate_secret.yml takes them: what is done already is left alone."""
    master = story.master
    rotation = master.ok("GET", "/v1/secret/rotation")
    if rotation["left"] == 0 or rotation["next"]:
        master.ok("POST", "/v1/secret/rotation/prepare", {})
        back_up(master)
        switched(master)
    last: Any = None
    while True:
        last = master.ok("POST", "/v1/secret/rotation/renew", {"after": last, "limit": 2})["last"]
        if last is None:
            break
    assert master.ok("GET", "/v1/secret/rotation")["left"] == 0


def pruning(story: Story) -> None:
    """What a program keeps itself it has to encrypt anew before the secrets are forgotten that it is under."""
    story.ciphertexts.clear()
    wait_for(lambda: story.plain.status()["key_id"] == story.master.status()["key_id"], "the server has heard of the rotation")
    story.write()
    story.master.ok("POST", "/v1/secret/prune", {"days": 0, "count": 0})


def switched(master: Server) -> None:
    """Waits for servers that are attached again to hold the next secret: they fetch it within a second."""

    def done() -> bool:
        status, answer = master.call("POST", "/v1/secret/rotation/switch", {"timeout": 5})
        assert status in (200, 409), answer
        return status == 200

    wait_for(done, "every server holds the next secret")


def backup_and_restore(story: Story) -> None:
    backup = back_up(story.master)
    story.master.sealed.unlink(missing_ok=True)
    body = {"backup": base64.b64encode(backup).decode(), "identity": str(IDENTITY)}
    story.master.ok("POST", "/v1/secret/restore", body)


def activation(story: Story) -> None:
    """Steps down and becomes the master again."""
    story.master.ok("POST", "/v1/master/deactivate", {})
    story.master.ok("POST", "/v1/master/activate", {})


def test_a_rotation_goes_on_wherever_it_was_broken_off(story: Story) -> None:
    """Killed at each of its state changes in turn, one rotation after another in one environment."""
    passed = carried_through(story, rotation)
    for change in ("INSERT INTO next_key", "UPDATE next_key", "DELETE FROM next_key", "UPDATE config_value"):
        assert any(change in each for each in passed), f"{change} is no state change of {passed}"
    keys = story.master.ok("GET", "/v1/secret")["keys"]
    assert len(keys) > len(passed), "each rotation made a secret"
    assert [key["state"] for key in keys].count("current") == 1


@pytest.mark.parametrize("act", [backup_and_restore, activation, pruning], ids=lambda act: act.__name__)
def test_the_other_operations_are_carried_through(story: Story, act: Act) -> None:
    """As often as they have state changes, each time after a rotation; and each of them can be repeated."""
    assert len(carried_through(story, act, before=rotation)) >= 2
