"""Who is let in, as whom, and who is not: at the TLS handshake, by the kernel's word, and by role."""

from __future__ import annotations

import json
import os
import pwd
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from edge import Files, acting_as
from pki import Authority
from servers import Server, client_context

pytestmark = pytest.mark.usefixtures("without_a_trace")

ENCRYPT = {"application": "app", "context": "context", "plaintext": ""}

# Every path that asks for a role, with a body that would do.
GUARDED = [
    ("POST", "/v1/encrypt", ENCRYPT),
    ("POST", "/v1/encrypt-batch", {"application": "app", "context": "c", "plaintexts": [""]}),
    ("POST", "/v1/decrypt", {"application": "app", "context": "c", "ciphertext": "hf1."}),
    ("POST", "/v1/decrypt-batch", {"application": "app", "context": "c", "ciphertexts": ["hf1."]}),
    ("GET", "/v1/applications/app/config", None),
    ("GET", "/v1/applications/app/config/in", None),
    ("GET", "/v1/applications/app/config/in?reveal=true", None),
    ("PUT", "/v1/applications/app/config/in", {"properties": {}}),
    ("DELETE", "/v1/applications/app/config/in", None),
    ("GET", "/v1/applications/app/unit-credentials", None),
    ("GET", "/v1/applications/app/unit-credentials/job.service/key", None),
    ("PUT", "/v1/applications/app/unit-credentials/job.service/key", {"config": "in", "field": "host"}),
    ("DELETE", "/v1/applications/app/unit-credentials/job.service/key", None),
    ("GET", "/v1/applications/app/mappings", None),
    ("POST", "/v1/applications/app/mappings/load", {"mappings": [{"principal": "user:a", "external_id": "A"}]}),
    ("GET", "/v1/applications/app/mappings/user:a", None),
    ("PUT", "/v1/applications/app/mappings/user:a", {"external_id": "A"}),
    ("DELETE", "/v1/applications/app/mappings/user:a", None),
    ("GET", "/v1/applications/app/mapping", None),
    ("PUT", "/v1/applications/app/mapping", {}),
    ("DELETE", "/v1/applications/app/mapping", None),
    ("GET", "/v1/applications/app/credentials", None),
    ("POST", "/v1/applications/app/tickets", {}),
    ("POST", "/v1/applications/app/tickets/redeem", {"ticket": "hft1."}),
    ("GET", "/v1/applications/app", None),
    ("PUT", "/v1/applications/app", {}),
    ("DELETE", "/v1/applications/app?with_data=true", None),
    ("GET", "/v1/roles", None),
    ("PUT", "/v1/roles/sso_administrator", {"members": []}),
    ("PUT", "/v1/sso", {"enabled": False}),
    ("GET", "/v1/secret", None),
    ("POST", "/v1/secret/generate", {}),
    ("POST", "/v1/secret/backup", {"passphrase": "long enough to be one"}),
    ("POST", "/v1/secret/backup/compare", {"backup": "", "passphrase": "long enough to be one"}),
    ("POST", "/v1/secret/backup/verify", {"backup": "", "place": "", "passphrase": "long enough to be one"}),
    ("POST", "/v1/secret/restore", {"backup": "", "passphrase": "long enough to be one"}),
    ("POST", "/v1/secret/distribute", {}),
    ("POST", "/v1/master/activate", {}),
    ("POST", "/v1/master/deactivate", {}),
    ("GET", "/v1/servers", None),
    ("PUT", "/v1/servers/s9", {"address": "h:1"}),
    ("DELETE", "/v1/servers/m1", None),
    ("GET", "/v1/revocations", None),
    ("PUT", f"/v1/revocations/{'0' * 64}", {"name": "job", "serial": "1", "expires_at": "2100-01-01T00:00:00Z"}),
    ("DELETE", f"/v1/revocations/{'0' * 64}", None),
]
IDS = [f"{method} {path}" for method, path, _ in GUARDED]
OUTSIDE_APPLICATIONS = IDS.index("GET /v1/secret")


def problem(answer: Any) -> str:
    return str(answer["type"]).removeprefix("urn:holdfast:problem:")


def shake_hands(server: Server, context: ssl.SSLContext) -> bytes:
    """What a client hears after its request; nothing, when TLS refuses it. In TLS 1.3 that comes only then."""
    try:
        with (
            socket.create_connection(("127.0.0.1", server.port), 10) as plain,
            context.wrap_socket(plain, server_hostname=server.name) as tls,
        ):
            tls.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return tls.recv(1000)
    except (ssl.SSLError, ConnectionError):
        return b""


@pytest.mark.parametrize("who", ["of another CA", "of another CA with the same name", "expired", "without a certificate"])
def test_a_client_that_cannot_be_verified_is_refused_by_tls(m1: Server, who: str, authority: Authority, tmp_path: Path) -> None:
    """It gets no answer of HTTP at all."""
    files: dict[str, Callable[[], Files | None]] = {
        "of another CA": lambda: Authority("another").issue(tmp_path, "admin"),
        "of another CA with the same name": lambda: Authority().issue(tmp_path, "admin"),
        "expired": lambda: authority.issue(tmp_path, "admin", days=-1),
        "without a certificate": lambda: None,
    }
    assert shake_hands(m1, client_context(m1.ca, m1.files)).startswith(b"HTTP/1.1 200")
    assert shake_hands(m1, client_context(m1.ca, files[who]())) == b""


def test_only_tls_1_3_is_spoken(m1: Server) -> None:
    """A client that knows no more than TLS 1.2 does not get in, with the best of certificates."""
    context = client_context(m1.ca, m1.files)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shake_hands(m1, context) == b""


def test_what_is_no_tls_is_no_answer(m1: Server) -> None:
    """Plain HTTP to the TLS port is closed without a word of HTTP."""
    with socket.create_connection(("127.0.0.1", m1.port), 10) as plain:
        plain.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.recv(1000).startswith(b"HTTP")


def test_a_server_shows_the_name_that_it_is_enrolled_under(m1: Server) -> None:
    """A client that asks for another name refuses the server."""
    with (
        socket.create_connection(("127.0.0.1", m1.port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match=r"[Hh]ostname mismatch"),
    ):
        client_context(m1.ca, m1.files).wrap_socket(plain, server_hostname="m2")


def test_a_certificate_without_a_name_is_nobody(m1: Server, authority: Authority, tmp_path: Path) -> None:
    """It is verified, and still no caller that anything could be granted to."""
    status, answer = m1.call("GET", "/v1/health", files=authority.issue(tmp_path, "nameless", named=False))
    assert (status, problem(answer)) == (403, "unknown-caller")


@pytest.mark.parametrize("path", ["/v1/peer/keyring", "/v1/peer/notice"])
@pytest.mark.parametrize("who", ["admin", "stranger", None])
def test_only_enrolled_servers_speak_as_peers(m1: Server, issued: Callable[..., Files], path: str, who: str | None) -> None:
    """A certificate that is not enrolled, an administrator's too, and anybody at the socket: no keyring, no notice."""
    method, body = ("GET", None) if path.endswith("keyring") else ("POST", {"master": "m1", "epoch": 1})
    response, answer = m1.exchange(
        method,
        path,
        json.dumps(body).encode() if body else None,
        {"Content-Type": "application/json"},
        files=issued(who) if who else None,
    )
    assert (response.status, problem(json.loads(answer))) == (403, "not-enrolled")
    assert b"holdfast keyring" not in answer


def test_an_enrolled_server_is_given_the_keyring_and_nothing_more(m1: Server) -> None:
    """Being enrolled is no role."""
    response, answer = m1.exchange("GET", "/v1/peer/keyring", files=m1.files)
    assert (response.status, json.loads(answer)["format"]) == (200, "holdfast keyring 1")
    assert m1.call("GET", "/v1/secret", files=m1.files)[0] == 403


@pytest.mark.parametrize(("method", "path", "body"), GUARDED, ids=IDS)
def test_a_certificate_without_a_role_may_do_nothing(
    m1: Server, issued: Callable[..., Files], method: str, path: str, body: Any
) -> None:
    """Every guarded path refuses it as forbidden, before it looks at anything else."""
    status, answer = m1.call(method, path, body, files=issued("stranger"))
    assert (status, problem(answer)) == (403, "forbidden")
    assert "certificate:stranger" in answer["detail"]


@pytest.mark.parametrize(("method", "path", "body"), GUARDED[OUTSIDE_APPLICATIONS:], ids=IDS[OUTSIDE_APPLICATIONS:])
def test_an_application_s_user_is_no_administrator(
    m1: Server, issued: Callable[..., Files], method: str, path: str, body: Any
) -> None:
    """A role in one application gives nothing over secret, master and servers."""
    assert m1.call("POST", "/v1/encrypt", ENCRYPT, files=issued("job"))[0] == 200
    status, answer = m1.call(method, path, body, files=issued("job"))
    assert (status, problem(answer)) == (403, "forbidden")


def test_a_list_shows_only_what_its_caller_may_see(m1: Server, issued: Callable[..., Files]) -> None:
    """A stranger's list of applications is empty; a user's has the one."""
    assert m1.call("GET", "/v1/applications", files=issued("stranger")) == (200, {"applications": []})
    answer = m1.call("GET", "/v1/applications", files=issued("job"))[1]
    assert [each["name"] for each in answer["applications"]] == ["app"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as another user")
class TestAtTheSocket:
    """The kernel says who connects."""

    @staticmethod
    def ask(server: Server, uid: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = server.connection()
        with acting_as(uid):
            connection.connect()
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if path != "/metrics" or response.status != 200 else content
        finally:
            connection.close()

    @pytest.mark.parametrize("path", ["/v1/health", "/v1/status", "/metrics", "/v1/secret", "/v1/nothing"])
    def test_a_uid_without_a_name_is_unknown(self, m1: Server, path: str) -> None:
        """Whatever it asks, it is told that it is not known here."""
        status, answer = self.ask(m1, 54321, "GET", path)
        assert (status, problem(answer)) == (403, "unknown-caller")
        assert "54321" in answer["detail"]

    @pytest.mark.parametrize(("method", "path", "body"), GUARDED, ids=IDS)
    def test_a_user_without_a_role_may_do_nothing(self, m1: Server, method: str, path: str, body: Any) -> None:
        """A user of this host who is in no granted group is refused at every guarded path."""
        status, answer = self.ask(m1, pwd.getpwnam("nobody").pw_uid, method, path, body)
        assert (status, problem(answer)) == (403, "forbidden")
        assert "user:nobody" in answer["detail"]

    @pytest.mark.parametrize("path", ["/v1/health", "/v1/status", "/v1/master", "/v1/master/fitness", "/metrics"])
    def test_anybody_with_a_name_may_ask_how_it_is(self, m1: Server, path: str) -> None:
        """Health, status and metrics take no role, and show no secret."""
        assert self.ask(m1, pwd.getpwnam("nobody").pw_uid, "GET", path)[0] == 200
