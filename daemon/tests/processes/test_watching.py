"""Two servers on one database: what is written at one is read at the other, at once, and whoever waits there hears of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from postgres import Postgres
from servers import FIELDS, OWN_GROUP, Fleet, Server
from waiting import wait_for

APP = {"fields": FIELDS, "users": [OWN_GROUP], "enabled": True}
CONFIG = "/v1/applications/app/config/in"
# What the issue promises to a watcher (seconds).
HEARD_WITHIN = 1.0


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def ready(request: pytest.FixtureRequest, shared_fleet: Callable[..., Fleet]) -> Fleet:
    url = request.getfixturevalue("postgres").url() if request.param == "postgresql" else None
    return shared_fleet("m1", "s1", url=url)


def write(server: Server, host: str) -> None:
    server.ok("PUT", CONFIG, {"properties": {"host": host, "password": "p"}})


def host(server: Server) -> Any:
    return server.ok("GET", CONFIG)["properties"].get("host")


class Waiting:
    """A request that waits, on a thread of its own: `status`, `document` and `at`, when it was answered."""

    def __init__(self, server: Server, path: str, headers: dict[str, str] | None = None) -> None:
        self._request = (server, path, headers or {})
        self.status = 0
        self.at = float("inf")
        self.document: Any = None
        self._connection = server.connection()
        self._connection.request("GET", path, headers=headers or {})
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        response = self._connection.getresponse()
        content = response.read()
        self.at, self.status = time.monotonic(), response.status
        self.document = json.loads(content) if content else None
        self._connection.close()

    def end(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextmanager
def waiting(server: Server, path: str, headers: dict[str, str] | None = None) -> Iterator[Waiting]:
    """Ends when the request is answered; what is done inside must have been heard there within the promised time."""
    made = Waiting(server, path, headers)
    began = 0.0
    try:
        yield made
        began = time.monotonic()
    finally:
        made.end()
    assert made.at - began < HEARD_WITHIN


def etag(server: Server, query: str = "") -> str:
    response, _ = server.exchange("GET", CONFIG + query)
    return str(response.getheader("ETag"))


def test_a_value_is_read_at_once_where_it_was_written_and_soon_elsewhere(ready: Fleet) -> None:
    """However often it was read before."""
    m1, s1 = ready.servers
    for number in range(20):
        writer, reader = (m1, s1) if number % 2 else (s1, m1)
        write(writer, f"h{number}")
        assert host(writer) == f"h{number}"
        wait_for(lambda reader=reader, number=number: host(reader) == f"h{number}", "the other server reads it", HEARD_WITHIN)


@pytest.mark.parametrize("query", ["", "?reveal=true"])
def test_a_watcher_hears_of_a_new_value_at_another_server(ready: Fleet, query: str) -> None:
    """Its long request ends with the new value, and without one when nothing happens."""
    m1, s1 = ready.servers
    write(m1, "before")
    wait_for(lambda: host(s1) == "before", "s1 reads it")
    known = {"If-None-Match": etag(s1, query)}
    path = CONFIG + (query + "&" if query else "?")
    response, content = s1.exchange("GET", path + "wait=0.1", headers=known)
    assert (response.status, content, response.getheader("ETag")) == (304, b"", known["If-None-Match"])
    with waiting(s1, path + "wait=20", known) as watcher:
        write(m1, "after")
    assert (watcher.status, watcher.document["properties"]["host"]) == (200, "after")


def test_a_watcher_hears_that_a_configuration_is_gone(ready: Fleet) -> None:
    """Deleted, its long request ends as a short one would."""
    m1, s1 = ready.servers
    write(m1, "h")
    wait_for(lambda: host(s1) == "h", "s1 reads it")
    with waiting(s1, CONFIG + "?wait=20", {"If-None-Match": etag(s1)}) as watcher:
        m1.ok("DELETE", CONFIG)
    assert watcher.status == 404
    write(m1, "h")
    wait_for(lambda: s1.call("GET", CONFIG)[0] == 200, "s1 reads the new one")


def test_a_watcher_is_refused_once_the_application_is_disabled(ready: Fleet) -> None:
    """What it may not read any more, it does not wait for."""
    m1, s1 = ready.servers
    write(m1, "h")
    wait_for(lambda: host(s1) == "h", "s1 reads it")
    known = {"If-None-Match": etag(s1, "?reveal=true")}
    try:
        with waiting(s1, CONFIG + "?reveal=true&wait=20", known) as watcher:
            m1.ok("PUT", "/v1/applications/app", APP | {"enabled": False})
    finally:
        m1.ok("PUT", "/v1/applications/app", APP)
    assert (watcher.status, watcher.document["type"]) == (403, "urn:holdfast:problem:application-disabled")


def test_a_field_that_is_masked_is_not_shown_any_more(ready: Fleet) -> None:
    """An answer that is kept ready is made anew for the changed application."""
    m1, s1 = ready.servers
    write(m1, "h")
    wait_for(lambda: host(s1) == "h", "s1 reads it")
    before = etag(s1)
    try:
        m1.ok("PUT", "/v1/applications/app", APP | {"fields": [{"name": "host", "masked": True}, FIELDS[1]]})
        wait_for(lambda: s1.ok("GET", CONFIG)["masked"] == ["host", "password"], "s1 masks it", HEARD_WITHIN)
        assert s1.ok("GET", CONFIG)["properties"] == {}
        assert etag(s1) != before
    finally:
        m1.ok("PUT", "/v1/applications/app", APP)
    wait_for(lambda: host(s1) == "h", "s1 shows it again", HEARD_WITHIN)


def changed(document: Any, application: str, name: str) -> bool:
    """Whether a watcher was told so, or told to read everything anew (SQLite tells other processes no names)."""
    change = {"kind": "config", "application": application, "name": name}
    return bool(document["lost"]) or change in document["changes"]


@pytest.mark.parametrize("query", ["application=app&", ""])
def test_a_cursor_tells_what_has_changed_since(ready: Fleet, query: str) -> None:
    """At once what has happened already, and otherwise when it happens."""
    for writer, reader in (ready.servers, ready.servers[::-1], [ready.servers[0]] * 2):
        cursor = wait_for(lambda reader=reader: reader.ok("GET", f"/v1/watch?{query}wait=0")["cursor"], "a cursor")
        with waiting(reader, f"/v1/watch?{query}wait=20&after={cursor}") as watcher:
            write(writer, str(time.monotonic()))
        assert watcher.status == 200
        assert changed(watcher.document, "app", "in")
        assert changed(reader.ok("GET", f"/v1/watch?{query}after={cursor}"), "app", "in")
        again = reader.ok("GET", f"/v1/watch?{query}after={watcher.document['cursor']}")
        assert again == {"cursor": watcher.document["cursor"], "changes": [], "lost": False}


def test_a_cursor_that_is_not_ours_is_lost(ready: Fleet) -> None:
    """Of another server, of another time, or of nobody: read everything anew."""
    m1, s1 = ready.servers
    other = s1.ok("GET", "/v1/watch")["cursor"]
    own = m1.ok("GET", "/v1/watch")["cursor"]
    for cursor in (other, "x", "", own + "9" * 30, own.replace("-", "-9"), own.rpartition("-")[0] + "--1"):
        found = m1.ok("GET", f"/v1/watch?wait=20&after={cursor}")
        assert (found["changes"], found["lost"]) == ([], True)


def test_a_stop_answers_those_who_wait(fleet: Callable[..., Fleet]) -> None:
    """It does not wait for them, nor cut them off."""
    (m1,) = fleet("m1").servers
    write(m1, "h")
    with (
        waiting(m1, CONFIG + "?wait=60", {"If-None-Match": etag(m1)}) as config,
        waiting(m1, f"/v1/watch?wait=60&after={m1.ok('GET', '/v1/watch')['cursor']}") as watch,
    ):
        wait_for(lambda: m1.call("GET", "/v1/health")[0] == 200, "m1 has read both requests")
        assert m1.stop() == 0
    assert (config.status, watch.status) == (304, 200)


def test_a_database_that_comes_back_is_listened_to_again(fleet: Callable[..., Fleet], postgres: Postgres) -> None:
    """Within seconds, and what was changed meanwhile is not overlooked."""
    m1, s1 = fleet("m1", "s1", url=postgres.url()).servers
    write(m1, "before")
    wait_for(lambda: host(s1) == "before", "s1 reads it")
    known = {"If-None-Match": etag(s1)}
    watcher = Waiting(s1, CONFIG + "?wait=60", known)
    postgres.stop()
    wait_for(lambda: s1.ok("GET", CONFIG)["cached_at"], "s1 serves its copy")
    postgres.start()
    wait_for(lambda: s1.ok("GET", CONFIG)["cached_at"] is None, "s1 reads the database again", 5)
    wait_for(lambda: m1.call("PUT", CONFIG, {"properties": {"host": "after"}})[0] == 200, "m1 writes again", 5)
    wait_for(lambda: host(s1) == "after", "s1 hears of it", 2 * HEARD_WITHIN)
    watcher.end()
    assert watcher.document["properties"] == {"host": "after"}


def test_ssoctl_runs_a_program_at_each_change(ready: Fleet, tmp_path: Path) -> None:
    """With names and no values; a failure of it, or a deletion, does not end the watch."""
    m1, s1 = ready.servers
    write(m1, "before")
    wait_for(lambda: host(s1) == "before", "s1 reads it")
    told, said = tmp_path / "told", tmp_path / "said"
    script = f'echo "$SSO_APPLICATION/$SSO_CONFIG ${{SSO_VERSION:-gone}}" >> {told}; exit 1'
    command = [sys.executable, "-m", "ssod.cli", "--socket", s1.socket, "config", "watch", "app", "in", "--", "sh", "-c", script]
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdout=output)
    try:
        wait_for(lambda: b"watching" in said.read_bytes(), "it watches")
        began = m1.ok("GET", CONFIG)["version"]
        write(m1, "after")
        wait_for(lambda: told.exists() and told.read_text() == f"app/in {began + 1}\n", "the program has run")
        m1.ok("DELETE", CONFIG)
        wait_for(lambda: told.read_text().endswith("\napp/in gone\n"), "the program has run once more")
        write(m1, "new")
        wait_for(lambda: told.read_text().endswith("\napp/in 1\n"), "the program has run a third time")
    finally:
        process.terminate()
        process.wait(10)
