"""Whatever is wrong with a request, it is one problem of 4xx with a stable type, and leaves no trace."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import pytest
from edge import CANARY, Files
from servers import Server

from ssod.core import envelope
from ssod.transport.app import BODY_BYTES
from ssod.transport.documents import BATCH, VALUE_BYTES

pytestmark = pytest.mark.usefixtures("without_a_trace")

JSON = {"Content-Type": "application/json"}
SECRET = base64.b64encode(CANARY.encode()).decode()
ENCRYPT: dict[str, Any] = {"application": "app", "context": CANARY, "plaintext": SECRET}
DECRYPT: dict[str, Any] = {"application": "app", "context": CANARY, "ciphertext": "hf1." + CANARY}


@dataclass(frozen=True)
class Bad:
    says: str
    method: str
    path: str
    body: Any
    status: int
    problem: str
    headers: dict[str, str] | None = None

    @property
    def content(self) -> bytes | None:
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body).encode()


def malformed(says: str, body: Any, path: str = "/v1/encrypt", method: str = "POST") -> Bad:
    return Bad(says, method, path, body, 400, "malformed-request")


def put(says: str, path: str, body: Any, status: int, problem: str) -> Bad:
    return Bad(says, "PUT", path, body, status, problem)


def post(says: str, path: str, body: Any, status: int, problem: str) -> Bad:
    return Bad(says, "POST", path, body, status, problem)


A_BACKUP = base64.b64encode(b"age-encryption.org/v1\n" + CANARY.encode()).decode()

INPUTS = [
    malformed("no body", b""),
    malformed("half a document", json.dumps(ENCRYPT).encode()[:-3]),
    malformed("two documents", json.dumps(ENCRYPT).encode() * 2),
    malformed("a list", [ENCRYPT]),
    malformed("null", b"null"),
    malformed("no UTF-8", b'{"application": "\xff' + CANARY.encode() + b'"}'),
    malformed("half a surrogate pair", b'{"application": "\\ud800' + CANARY.encode() + b'"}'),
    malformed("very deep", b"[" * 100_000),
    malformed("very deep inside", b'{"application": ' + b'{"a":' * 100_000),
    malformed("NaN", b'{"application": NaN}'),
    malformed("an unknown member", ENCRYPT | {"also": CANARY}),
    malformed("a missing member", {"application": "app", "plaintext": SECRET}),
    malformed("a number for a text", ENCRYPT | {"context": 7}),
    malformed("null for a text", ENCRYPT | {"context": None}),
    malformed("no base64", ENCRYPT | {"plaintext": CANARY + "!"}),
    malformed("an empty context", ENCRYPT | {"context": ""}),
    malformed("a long context", ENCRYPT | {"context": CANARY + "x" * 512}),
    malformed("an empty application", ENCRYPT | {"application": ""}),
    malformed("a long value", ENCRYPT | {"plaintext": base64.b64encode(bytes(VALUE_BYTES + 1)).decode()}),
    malformed("a batch of none", {"application": "app", "context": CANARY, "plaintexts": []}, "/v1/encrypt-batch"),
    malformed(
        "a batch of too many", {"application": "app", "context": CANARY, "plaintexts": [SECRET] * (BATCH + 1)}, "/v1/encrypt-batch"
    ),
    malformed("none to decrypt", {"application": "app", "context": CANARY, "ciphertexts": []}, "/v1/decrypt-batch"),
    malformed(
        "too many to decrypt", {"application": "app", "context": CANARY, "ciphertexts": ["hf1."] * (BATCH + 1)}, "/v1/decrypt-batch"
    ),
    malformed("a body for nothing", {"x": CANARY}, "/v1/refresh"),
    malformed("a path that is no UTF-8", None, "/v1/applications/%ff", "GET"),
    malformed("a flag that is neither", None, f"/v1/applications/app/config/in?reveal={CANARY}", "GET"),
    malformed("a query without a value", None, "/v1/applications/app/config/in?reveal", "GET"),
    malformed("a configuration of numbers", {"properties": {"host": 1}}, "/v1/applications/app/config/in", "PUT"),
    malformed("an address without a port", {"address": CANARY}, "/v1/servers/s9", "PUT"),
    malformed("an address with a newline", {"address": "a\nb:1"}, "/v1/servers/s9", "PUT"),
    malformed("a timeout of nothing", {"timeout": 0}, "/v1/secret/distribute"),
    malformed("an endless timeout", b'{"timeout": 1e400}', "/v1/secret/distribute"),
    Bad("a wrong content type", "POST", "/v1/encrypt", ENCRYPT, 415, "wrong-content-type", {"Content-Type": "text/plain"}),
    Bad("no content type", "POST", "/v1/encrypt", ENCRYPT, 415, "wrong-content-type", {}),
    Bad("an unknown path", "GET", "/v1/" + CANARY, None, 404, "no-such-path"),
    Bad("a path above", "GET", "/v1/../../etc/passwd", None, 404, "no-such-path"),
    Bad("a slash too many", "GET", "/v1/health/", None, 404, "no-such-path"),
    Bad("an unknown version", "GET", "/v2/health", None, 404, "no-such-path"),
    Bad("another method", "DELETE", "/v1/encrypt", None, 405, "method-not-allowed"),
    Bad("an unknown method", "PROPFIND", "/v1/health", None, 405, "method-not-allowed"),
    Bad("HEAD", "HEAD", "/v1/health", None, 405, "method-not-allowed"),
    Bad("no such application", "GET", f"/v1/applications/{CANARY}", None, 404, "application-not-found"),
    post("no such application to encrypt for", "/v1/encrypt", ENCRYPT | {"application": CANARY}, 404, "application-not-found"),
    Bad("no such configuration", "GET", f"/v1/applications/app/config/{CANARY}", None, 404, "config-not-found"),
    Bad("a configuration like a path", "GET", "/v1/applications/app/config/..%2f..%2fetc", None, 404, "config-not-found"),
    Bad("no such configuration to delete", "DELETE", "/v1/applications/app/config/nothing", None, 404, "config-not-found"),
    post("no ciphertext", "/v1/decrypt", DECRYPT | {"ciphertext": CANARY}, 422, "ciphertext-rejected"),
    post("an empty ciphertext", "/v1/decrypt", DECRYPT | {"ciphertext": ""}, 422, "ciphertext-rejected"),
    post("a ciphertext too short", "/v1/decrypt", DECRYPT, 422, "ciphertext-rejected"),
    post("a name that is none", "/v1/encrypt", ENCRYPT | {"application": CANARY + "\0"}, 404, "application-not-found"),
    put("an application with a blank", f"/v1/applications/{CANARY}%20x", {}, 422, "invalid-value"),
    put("an application with a slash", "/v1/applications/a%2Fb", {}, 422, "invalid-value"),
    put("a principal that is nobody", "/v1/applications/x", {"users": [CANARY]}, 422, "invalid-value"),
    put("a field twice", "/v1/applications/x", {"fields": [{"name": "a"}, {"name": "a"}]}, 422, "invalid-value"),
    put("a field with a blank", "/v1/applications/x", {"fields": [{"name": "a b"}]}, 422, "invalid-value"),
    put("a NUL in a text", "/v1/applications/x", {"contact": CANARY + "\0"}, 422, "invalid-value"),
    put("an application of another version", "/v1/applications/app", {"if_version": 9}, 409, "version-conflict"),
    put("a field that is not declared", "/v1/applications/app/config/in", {"properties": {"port": CANARY}}, 422, "invalid-value"),
    put("a configuration with a blank", "/v1/applications/app/config/a%20b", {"properties": {}}, 422, "invalid-value"),
    put(
        "a configuration of another version",
        "/v1/applications/app/config/in",
        {"properties": {"host": CANARY}, "if_version": 9},
        409,
        "version-conflict",
    ),
    put("a configuration of nothing", f"/v1/applications/{CANARY}/config/in", {"properties": {}}, 404, "application-not-found"),
    Bad("an application that is used", "DELETE", "/v1/applications/app", None, 409, "application-in-use"),
    put("a server with a blank", "/v1/servers/a%20b", {"address": "h:1"}, 422, "invalid-value"),
    Bad("no such server", "DELETE", f"/v1/servers/{CANARY[:6]}", None, 404, "server-not-found"),
    Bad("the master's removal", "DELETE", "/v1/servers/m1", None, 409, "server-is-master"),
    post("a second secret", "/v1/secret/generate", {}, 409, "secret-exists"),
    post("a short passphrase", "/v1/secret/backup", {"passphrase": CANARY[:11]}, 422, "invalid-value"),
    post("neither passphrase nor recipient", "/v1/secret/backup", {}, 422, "invalid-value"),
    post("both", "/v1/secret/backup", {"passphrase": CANARY * 2, "recipients": ["age1"]}, 422, "invalid-value"),
    post("a telling reminder", "/v1/secret/backup", {"passphrase": CANARY, "reminder": f"it is {CANARY}"}, 422, "invalid-value"),
    post("a recipient that is none", "/v1/secret/backup", {"recipients": ["age1" + CANARY]}, 422, "invalid-value"),
    post("a backup that is none", "/v1/secret/restore", {"backup": SECRET, "passphrase": CANARY}, 422, "backup-damaged"),
    post("an identity that is none", "/v1/secret/restore", {"backup": A_BACKUP, "identity": CANARY}, 422, "invalid-value"),
    post("nothing to open it with", "/v1/secret/restore", {"backup": A_BACKUP}, 422, "invalid-value"),
    post("no such server to distribute to", "/v1/secret/distribute", {"servers": ["s9"]}, 404, "server-not-found"),
]


def check(status: int, kind: str | None, answer: bytes, expected_status: int, problem: str) -> Any:
    assert status == expected_status, answer
    assert kind == "application/problem+json"
    document = json.loads(answer)
    assert document["type"] == f"urn:holdfast:problem:{problem}"
    assert document["status"] == expected_status
    assert document["tracking_id"]
    assert document["detail"]
    return document


@pytest.mark.parametrize("bad", INPUTS, ids=lambda bad: bad.says)
def test_a_bad_input_is_one_problem(m1: Server, face: Files | None, bad: Bad) -> None:
    """Status and type are these, at both faces."""
    headers = bad.headers if bad.headers is not None else JSON
    response, answer = m1.exchange(bad.method, bad.path, bad.content, headers, files=face)
    if bad.method == "HEAD":
        assert (response.status, answer) == (bad.status, b"")
        return
    check(response.status, response.getheader("Content-Type"), answer, bad.status, bad.problem)
    assert SECRET not in answer.decode()


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "not announced"])
def test_a_body_beyond_the_limit_is_refused_before_it_is_whole(m1: Server, face: Files | None, chunked: bool) -> None:
    """Announced or not, what is larger than 16 MiB is 413, and the connection ends."""
    connection = m1.connection(face)
    connection.putrequest("POST", "/v1/encrypt")
    connection.putheader("Content-Type", "application/json")
    if chunked:
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        for _ in range(BODY_BYTES // 0x10000 + 1):
            connection.send(piece)
    else:
        connection.putheader("Content-Length", str(BODY_BYTES + 1))
        connection.endheaders()
    response = connection.getresponse()
    check(response.status, response.getheader("Content-Type"), response.read(), 413, "body-too-large")
    assert response.getheader("Connection") == "close"
    connection.close()


def test_a_content_type_may_name_its_characters(m1: Server, face: Files | None) -> None:
    """JSON is UTF-8 with or without saying so."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = json.dumps({"application": "app", "context": "c", "plaintext": ""}).encode()
    assert m1.exchange("POST", "/v1/encrypt", body, headers, files=face)[0].status == 200


def altered(ciphertext: str) -> dict[str, tuple[str, str, str]]:
    """What is wrong with it: (context, ciphertext, problem)."""
    content = envelope.from_text(ciphertext)
    unknown = content[:1] + bytes(16) + content[17:]
    return {
        "cut": ("right", ciphertext[:-1], "ciphertext-rejected"),
        "cut by whole bytes": ("right", envelope.to_text(content[:-3]), "ciphertext-rejected"),
        "flipped": ("right", envelope.to_text(content[:-1] + bytes([content[-1] ^ 1])), "ciphertext-rejected"),
        "padded": ("right", ciphertext + "=", "ciphertext-rejected"),
        "of another context": ("wrong", ciphertext, "ciphertext-rejected"),
        "of an unknown key": ("right", envelope.to_text(unknown), "unknown-key-id"),
    }


@pytest.mark.parametrize("how", altered("hf1." + "A" * 100))
def test_a_ciphertext_that_is_not_right_gives_nothing_back(m1: Server, face: Files | None, how: str) -> None:
    """Alone, or among a thousand good ones, it is the same refusal, and none of the plaintexts is in it."""
    good = m1.encrypt(CANARY.encode(), "right")
    context, wrong, problem = altered(good)[how]
    for path, body in (
        ("/v1/decrypt", {"ciphertext": wrong}),
        ("/v1/decrypt-batch", {"ciphertexts": [*([good] * 3 if context == "right" else []), wrong]}),
    ):
        content = json.dumps({"application": "app", "context": context, **body}).encode()
        response, answer = m1.exchange("POST", path, content, JSON, files=face)
        check(response.status, response.getheader("Content-Type"), answer, 422, problem)
        assert SECRET.encode() not in answer
        assert good.encode() not in answer


def test_a_ciphertext_of_one_application_is_none_of_another(m1: Server, face: Files | None) -> None:
    """The application is bound into the ciphertext, whatever the caller may do in both."""
    ciphertext = m1.encrypt(CANARY.encode())
    body = json.dumps({"application": "App", "context": "context", "ciphertext": ciphertext}).encode()
    response, answer = m1.exchange("POST", "/v1/decrypt", body, JSON, files=face)
    check(response.status, response.getheader("Content-Type"), answer, 404, "application-not-found")


def test_a_batch_of_a_thousand_is_served(m1: Server, face: Files | None) -> None:
    """The largest batch comes back in its order."""
    values = [base64.b64encode(b"%d" % number).decode() for number in range(BATCH)]
    common = {"application": "app", "context": "c"}
    status, answer = m1.call("POST", "/v1/encrypt-batch", common | {"plaintexts": values}, files=face)
    assert status == 200
    status, answer = m1.call("POST", "/v1/decrypt-batch", common | {"ciphertexts": answer["ciphertexts"]}, files=face)
    assert (status, answer["plaintexts"]) == (200, values)


@pytest.mark.parametrize("wait", ["x", "", "1;2", "0x1", "nan", "-1", "-inf"])
def test_a_wait_that_is_no_time_is_refused(m1: Server, wait: str) -> None:
    """What an enrolled server asks for is checked like everything else."""
    status, document = m1.call("GET", f"/v1/peer/keyring?wait={wait}", files=m1.files, timeout=5)
    assert (status, document["type"]) == (400, "urn:holdfast:problem:malformed-request")


@pytest.mark.parametrize("wait", ["0", "-0", "1e-9"])
def test_a_wait_always_ends(m1: Server, wait: str) -> None:
    """What is hardly a time to wait is answered at once."""
    etag = m1.exchange("GET", "/v1/peer/keyring", files=m1.files)[0].getheader("ETag") or ""
    headers = {"If-None-Match": etag}
    assert m1.exchange("GET", f"/v1/peer/keyring?wait={wait}", headers=headers, files=m1.files, timeout=5)[0].status == 304


def test_the_audit_log_names_acts_and_keys_and_no_value(m1: Server) -> None:
    """An accepted act is one line with caller, act, subject and key id; plaintext and context are in none."""
    before = len(m1.audit.read_text().splitlines())
    ciphertext = m1.encrypt(CANARY.encode(), CANARY)
    assert m1.decrypt(ciphertext, CANARY) == CANARY.encode()
    lines = [json.loads(line) for line in m1.audit.read_text().splitlines()[before:]]
    key_id = m1.status()["key_id"]
    assert [(line["act"], line["subject"], line["key_id"], line["outcome"]) for line in lines] == [
        ("encrypt", "app", key_id, "allowed"),
        ("decrypt", "app", key_id, "allowed"),
    ]
    assert all(line["caller"] == "user:root" and line["tracking_id"] for line in lines)
    assert ciphertext not in m1.audit.read_text()
