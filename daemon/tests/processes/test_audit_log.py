"""The audit log of a real ssod, over everything that happens to one; checked by `ssoctl`."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable

from edge import acting_as
from servers import Fleet, Server
from waiting import wait_for


def verify(server: Server) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ssod.cli", "--socket", server.socket, "audit", "verify", "--config", str(server.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def restart(server: Server, number: signal.Signals) -> None:
    server.stop(number)
    server.start()
    wait_for(lambda: server.status()["can_encrypt"], "it can encrypt again")


def test_the_log_is_whole_after_rotation_restart_and_kill(fleet: Callable[..., Fleet]) -> None:
    """And everyone who knows where it ends agrees."""
    m1 = fleet("m1")["m1"]
    m1.encrypt(b"value")
    m1.audit.rename(m1.audit.with_name("audit.log-20261123"))
    m1.encrypt(b"value")
    m1.send(signal.SIGHUP)
    wait_for(m1.audit.exists, "the new file")
    m1.encrypt(b"value")
    for number in (signal.SIGKILL, signal.SIGTERM):
        restart(m1, number)
        m1.encrypt(b"value")
    finished = verify(m1)
    assert (finished.returncode, finished.stderr) == (0, "")
    head = m1.ok("GET", "/v1/audit/head")
    last = json.loads(m1.audit.read_bytes().splitlines()[-1])
    assert head == {"sequence": last["sequence"], "head": last["chain"]}
    assert f"ssod knows of line {head['sequence']}" in finished.stdout


def test_what_was_cut_off_while_it_was_down_is_missed_for_ever(fleet: Callable[..., Fleet]) -> None:
    """With the anchor on the host gone as well: the database knows."""
    m1 = fleet("m1")["m1"]
    m1.encrypt(b"value")
    restart(m1, signal.SIGTERM)
    database = sqlite3.connect(str(m1.root.parent / "sso.db"))
    known = len(m1.audit.read_bytes().splitlines())
    wait_for(lambda: database.execute("SELECT audit_sequence FROM server").fetchone() == (known,), "it has told the database")
    m1.stop(signal.SIGKILL)
    m1.audit.write_bytes(b"".join(m1.audit.read_bytes().splitlines(keepends=True)[:2]))
    (m1.root / "audit.anchor").unlink()
    m1.start()
    wait_for(lambda: m1.status()["can_encrypt"], "it can encrypt again")
    assert f"it ends with line 2, and the SSO database knows of line {known}" in m1.log.read_text()
    m1.encrypt(b"value")
    restart(m1, signal.SIGTERM)
    finished = verify(m1)
    assert finished.returncode == 1
    assert f"{m1.audit}:3: before it lines 3 to {known} are missing" in finished.stderr


def test_who_is_refused_is_in_the_log(fleet: Callable[..., Fleet]) -> None:
    """On both faces and both ways that a request can take; many times, and not as many lines."""
    m1 = fleet("m1")["m1"]
    mallory = m1.authority.issue(m1.root, "mallory")
    body = {"application": "app", "context": "c", "plaintext": ""}
    assert m1.call("POST", "/v1/encrypt", body, files=mallory)[0] == 403
    with acting_as(65534):
        for _ in range(50):
            assert m1.call("GET", "/v1/audit/head")[0] == 403
    lines = [json.loads(line) for line in m1.audit.read_bytes().splitlines()]
    refused = [(line["caller"], line["act"], line["subject"]) for line in lines if line["outcome"] == "forbidden"]
    assert refused[0] == ("certificate:mallory", "encrypt", "application app")
    assert set(refused[1:]) == {("user:nobody", "read audit", "")}
    assert len(refused) == 21


def test_a_guess_at_a_stored_value_is_in_the_log(fleet: Callable[..., Fleet]) -> None:
    """Also one that changes nothing: the answer says whether it was right."""
    m1 = fleet("m1")["m1"]
    path = "/v1/applications/app/config/in"
    m1.ok("PUT", path, {"properties": {"password": "right"}})
    before = len(m1.audit.read_bytes().splitlines())
    for guess, changed in (("wrong", ["password"]), ("right", [])):
        assert m1.ok("PUT", path + "?dry_run=true", {"properties": {"password": guess}})["changes"]["changed"] == changed
    lines = [json.loads(line) for line in m1.audit.read_bytes().splitlines()[before:]]
    key_id = m1.status()["key_id"]
    assert [(line["act"], line["subject"], line["key_id"]) for line in lines] == [("compare configuration", "app/in", key_id)] * 2
