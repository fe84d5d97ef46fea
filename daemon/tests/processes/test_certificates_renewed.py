"""Certificates are renewed and the CA is replaced by reloads: no process is another one, and no handshake is refused."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pki import Authority
from postgres import Postgres
from servers import Fleet, Server
from waiting import wait_for

from ssod.storage.migrations import migrate


@pytest.fixture
def fleet(tmp_path: Path, authority: Authority, postgres: Postgres) -> Iterator[Fleet]:
    url = postgres.url()
    migrate(url)
    made = Fleet(tmp_path, authority, url)
    made.add("m1", "m2", "s1", refresh=1)
    try:
        made.make_ready()
        yield made
    finally:
        made.stop()


def put(content: bytes, target: Path) -> None:
    """In one moment, as the role does it: whoever reads the file meanwhile finds the old one or the new one."""
    new = target.with_name(f"{target.name}.new")
    new.write_bytes(content)
    new.replace(target)


def install(server: Server, authority: Authority, scratch: Path, *, days: float = 1.0) -> None:
    """A certificate by this CA in the place of the one that the server has."""
    scratch.mkdir(exist_ok=True)
    for old, new in zip(server.files, authority.issue(scratch, server.name, days=days), strict=True):
        put(new.read_bytes(), old)


def trust(server: Server, *authorities: Authority) -> None:
    files = [authority.write(server.root / "one.pem").read_bytes() for authority in authorities]
    put(b"".join(files), server.ca)


@contextmanager
def handshakes(servers: list[Server]) -> Iterator[list[str]]:
    """Each server's certificate is shown to each other one, over and over, as the files of both are at that moment."""
    failed: list[str] = []
    over = threading.Event()
    counted = 0

    def knock() -> None:
        nonlocal counted
        while not over.is_set():
            for client in servers:
                for server in servers:
                    try:
                        # What the client trusts is its own file, and not the other's.
                        status = server.exchange("GET", "/v1/health", files=client.files, ca=client.ca)[0].status
                        if status != 200:
                            failed.append(f"{client.name} to {server.name}: {status}")
                    except OSError as error:
                        failed.append(f"{client.name} to {server.name}: {error}")
                    counted += 1

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield failed
        before = counted
        wait_for(lambda: counted > before + len(servers) ** 2, "everybody has knocked once more")
    finally:
        over.set()
        thread.join()


def reload(server: Server) -> None:
    said = server.log.read_text().count("event='reloaded'")
    server.send(signal.SIGHUP)
    wait_for(lambda: server.log.read_text().count("event='reloaded'") > said, f"{server.name} has reloaded")


def test_another_ca_is_introduced_without_a_refused_handshake(fleet: Fleet, tmp_path: Path) -> None:
    """Both are trusted, then all show certificates of the new one, then the old one is trusted no more."""
    old, new = fleet.authority, Authority("the next CA")
    servers = fleet.servers
    pids = [server.process.pid for server in servers if server.process is not None]
    first = {server.name: server.status()["certificate"] for server in servers}
    assert all(each["authorities"] == [each["issuer"]] for each in first.values())
    with handshakes(servers) as failed:
        for server in servers:
            trust(server, old, new)
            reload(server)
        assert all(len(server.status()["certificate"]["authorities"]) == 2 for server in servers)
        for server in servers:
            # A host's two files are not written in one moment; whoever reads them in between knocks again.
            install(server, new, tmp_path / "new")
            reload(server)
        for server in servers:
            trust(server, new)
            reload(server)
    shown = [server.status()["certificate"] for server in servers]
    assert all(each["authorities"] == [each["issuer"]] for each in shown)
    assert {each["issuer"] for each in shown}.isdisjoint(each["issuer"] for each in first.values())
    assert [each for each in failed if "KEY_VALUES_MISMATCH" not in each] == []
    assert pids == [server.process.pid for server in servers if server.process is not None]
    assert all(server.status()["can_encrypt"] for server in servers)
    stale = old.issue(tmp_path, "m2")
    with pytest.raises(OSError, match=r"alert|certificate|closed"):
        fleet["m1"].exchange("GET", "/v1/health", files=stale)


def test_a_certificate_that_ends_soon_is_told_until_it_is_renewed(fleet: Fleet, tmp_path: Path) -> None:
    """In the status, in words, and in the metrics; the renewed one takes effect by a reload."""
    s1 = fleet["s1"]

    def metric(name: str) -> float:
        lines = s1.exchange("GET", "/metrics")[1].decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    assert (s1.status()["certificate"]["days_left"], metric("ssod_certificate_expires_soon")) == (0, 1.0)
    assert "its certificate expires in 0 days" in s1.status()["sentence"]
    serial = s1.status()["certificate"]["serial"]
    install(s1, fleet.authority, tmp_path / "renewed", days=300.5)
    reload(s1)
    assert s1.status()["certificate"]["serial"] != serial
    assert (s1.status()["certificate"]["days_left"], metric("ssod_certificate_days_left")) == (300, 300.0)
    assert metric("ssod_certificate_expires_soon") == 0.0
    assert s1.status()["sentence"].startswith("attached")
    assert "certificate" not in s1.status()["sentence"]
