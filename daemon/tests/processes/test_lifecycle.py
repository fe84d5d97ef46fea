"""Starting, reloading and stopping one ssod, with requests under way."""

from __future__ import annotations

import signal
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from pki import Authority
from servers import Fleet, Server
from waiting import wait_for


@pytest.fixture(scope="module")
def lasting(shared_fleet: Callable[..., Fleet]) -> Server:
    """A server that its tests leave as it was."""
    return shared_fleet("m1").servers[0]


@pytest.fixture
def server(fleet: Callable[..., Fleet]) -> Server:
    """A server that its test may stop."""
    return fleet("m1").servers[0]


class Pressure:
    """Asks for something without a pause, in a thread, until told to stop; keeps what went wrong."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._stop = threading.Event()
        self.asked = 0
        self.failures: list[object] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Pressure:
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self._ask():
                    self.failures.append("refused")
            except Exception as error:
                self.failures.append(error)
            self.asked += 1

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def served_certificate(server: Server) -> int:
    """The serial number of the certificate that a new connection meets."""
    connection = server.connection(server.files)
    connection.connect()
    try:
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate = connection.sock.getpeercert(binary_form=True)
        assert certificate is not None
        return x509.load_der_x509_certificate(certificate).serial_number
    finally:
        connection.close()


def test_a_reload_swaps_the_certificates_and_fails_no_request(lasting: Server, tmp_path: Path) -> None:
    """Requests on both faces go on through many reloads, and new connections meet the new certificate."""
    old = tmp_path / "old"
    old.mkdir()
    shown = lasting.authority.issue(old, lasting.name)
    ciphertext = lasting.encrypt(b"value")
    kept = lasting.connection()

    def over_tls() -> bool:
        return lasting.call("GET", "/v1/health", files=shown)[0] == 200

    def over_one_unix_connection() -> bool:
        kept.request("GET", "/v1/health")
        response = kept.getresponse()
        return (response.read(), response.status)[1] == 200

    with Pressure(over_tls) as tls, Pressure(over_one_unix_connection) as unix:
        for turn in range(1, 5):
            before = served_certificate(lasting)
            lasting.authority.issue(lasting.root, lasting.name)
            lasting.send(signal.SIGHUP)
            wait_for(lambda turn=turn: lasting.log.read_text().count("event='reloaded'") == turn, "reloaded")
            assert served_certificate(lasting) != before
            asked = tls.asked + 2
            wait_for(lambda asked=asked: tls.asked > asked, "requests go on")
    kept.close()
    assert tls.failures == []
    assert unix.failures == []
    assert unix.asked > 10
    assert lasting.decrypt(ciphertext) == b"value"


def test_a_reload_that_finds_a_mistake_changes_nothing(lasting: Server) -> None:
    """A certificate that is no certificate is refused in the log, and the old one goes on being served."""
    before = served_certificate(lasting)
    right = lasting.files[0].read_bytes()
    lasting.files[0].write_text("no certificate")
    lasting.send(signal.SIGHUP)
    wait_for(lambda: "the reload is refused and nothing was changed" in lasting.log.read_text(), "the refusal")
    assert lasting.call("GET", "/v1/health")[0] == 200
    lasting.files[0].write_bytes(right)
    assert served_certificate(lasting) == before


def test_a_reload_reads_who_may_do_what(lasting: Server) -> None:
    """A grant that was taken away is gone without a restart."""
    assert lasting.call("GET", "/v1/secret")[0] == 200
    text = lasting.config.read_text()
    lasting.config.write_text(text.replace("sso_administrators = [", 'sso_administrators = ["group:nobody-here"] #'))
    lasting.send(signal.SIGHUP)
    wait_for(lambda: lasting.call("GET", "/v1/secret")[0] == 403, "the grant is gone")
    lasting.config.write_text(text)
    lasting.send(signal.SIGHUP)
    wait_for(lambda: lasting.call("GET", "/v1/secret")[0] == 200, "the grant is back")


def test_a_stop_finishes_the_request_that_is_under_way(server: Server) -> None:
    """What arrived before SIGTERM is answered, a new connection is not taken, and the process ends well."""
    body = b'{"application": "app", "context": "context", "plaintext": ""}'
    connection = server.connection()
    connection.putrequest("POST", "/v1/encrypt")
    for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Expect", "100-continue")):
        connection.putheader(name, value)
    connection.endheaders()
    # ssod says 100 when the handler asks for the body: from here on the request is under way.
    assert b"100" in connection.sock.recv(100)
    server.send(signal.SIGTERM)
    wait_for(lambda: "event='stopping'" in server.log.read_text(), "it stops")
    wait_for(lambda: not server.answers(), "it takes no more")
    connection.send(body)
    response = connection.getresponse()
    assert response.status == 200
    assert b"hf1." in response.read()
    assert server.process is not None
    assert server.process.wait(10) == 0
    assert not Path(server.socket).exists()


def test_a_stop_answers_those_who_wait_for_a_new_keyring(server: Server) -> None:
    """A long question to the master ends with an answer and not with a cut."""
    etag = server.exchange("GET", "/v1/peer/keyring", files=server.files)[0].getheader("ETag")
    assert etag is not None
    connection = server.connection(server.files)
    connection.request("GET", "/v1/peer/keyring?wait=60", headers={"If-None-Match": etag, "Expect": "100-continue"})
    assert b"100" in connection.sock.recv(100)
    server.send(signal.SIGTERM)
    response = connection.getresponse()
    assert response.status == 304
    assert response.getheader("ETag") == etag
    assert server.stop() == 0


@pytest.fixture
def stranger(tmp_path: Path, authority: Authority) -> Iterator[Server]:
    """A server that has not been started."""
    server = Server(tmp_path, authority, "m1", f"sqlite:///{tmp_path}/none.db")
    yield server
    server.stop(signal.SIGKILL)


def test_a_database_without_our_schema_ends_the_start(stranger: Server) -> None:
    """It says which schema it needs and what makes it, and no socket is left behind."""
    stranger.start(wait=False)
    assert stranger.process is not None
    assert stranger.process.wait(20) == 2
    assert "ssoctl database migrate" in stranger.log.read_text()
    assert not Path(stranger.socket).exists()


def test_a_configuration_with_mistakes_ends_the_start_with_all_of_them(stranger: Server) -> None:
    """Every problem is in the log, not the first alone."""
    text = stranger.config.read_text().replace('"file"', '"paper"') + "\n[nonsense]\nx = 1\n"
    stranger.config.write_text(text)
    stranger.start(wait=False)
    assert stranger.process is not None
    assert stranger.process.wait(20) == 2
    assert "is refused" in stranger.log.read_text()
