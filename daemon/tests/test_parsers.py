"""Every parser of stored or received bytes, under anything: it reads them, or refuses with the errors that it documents.

HOLDFAST_FUZZ_EXAMPLES says how much each is given.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_origin

import msgspec
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keys import counting, keyring_of
from mutations import mutated, mutated_json

from ssod import audit_files, client, config
from ssod.age_process import AgeRequest, _open
from ssod.cli import audit as cli_audit
from ssod.cli import documents as cli_documents
from ssod.cli import store_file as cli_store_file
from ssod.cli.errors import CliError
from ssod.cli.json_input import read_object
from ssod.cli.mapping_files import BadLine, Format, entries
from ssod.client.exchange import Response, decrypt, get_config, get_credentials, issue_ticket
from ssod.core import envelope, tickets
from ssod.core.access import Caller
from ssod.core.audit import BEGINNING, AuditLine, Checker, read_line, write_line
from ssod.core.cached import Vouched
from ssod.core.envelope import Place
from ssod.core.keyring import BadKeyring, Keyring
from ssod.core.secretbytes import SecretBytes
from ssod.errors import UNREADABLE, CiphertextRejected, ConfigurationRefused, Malformed, NoSuchPath, TicketRejected, UnknownKeyId
from ssod.runtime.audit import FileAudit
from ssod.runtime.clock import SystemClock
from ssod.seal.copy import MAGIC, MAGIC_CACHE, SealBroken, SealedCopy
from ssod.seal.keys import CREDENTIAL, KeyInMemory
from ssod.service.feed import Feed
from ssod.service.ports import Call
from ssod.service.store_document import Store
from ssod.storage.changes import Change, from_payloads, payload
from ssod.transport import documents as d
from ssod.transport.app import App, Request, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.callers import Callers
from ssod.transport.description import ANYBODY, DRY_RUN, WAIT, Description
from ssod.transport.peers import _problem, notice_answer
from ssod.transport.protocol import UnixPeer
from ssod.transport.routes.shapes import entity_tags
from ssod.transport.unit_peer import asked_in, unit_in

EXAMPLES = int(os.environ.get("HOLDFAST_FUZZ_EXAMPLES", "200"))

PLACE = Place("sftp", "config", "inbound", "password")
KEYRING = keyring_of(1, 2)
SEALING_KEYS = [KeyInMemory(CREDENTIAL, SecretBytes(b"k" * 32), counting())]
SEALED = KEYRING.seal(PLACE, b"value", counting())
NOBODY = Caller("user:nobody", frozenset())
CALL = Call(NOBODY, "t-1")
TICKET = tickets.encode(tickets.Ticket(b"i" * 16, "m1", "user:alice", ["user:alice", "group:staff"], 1, 121))

fuzzed = settings(max_examples=EXAMPLES)


class Parser:
    """`errors` are those that the parser documents."""

    def __init__(
        self, says: str, parse: Callable[[bytes], object], given: st.SearchStrategy[bytes], *errors: type[Exception]
    ) -> None:
        self.says = says
        self.parse = parse
        self.given = given
        self.errors = errors


def as_text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    """For what takes text that came as bytes: whatever the bytes, as some text."""
    return lambda content: parse(content.decode("utf-8", "replace"))


def in_a_file(parse: Callable[[Path], object], name: str = "file") -> Callable[[bytes], object]:
    """For what reads a file: one with these bytes in it."""

    def parse_file(content: bytes) -> object:
        with TemporaryDirectory() as directory:
            path = Path(directory, name)
            path.write_bytes(content)
            return parse(path)

    return parse_file


def opened_age_file(content: bytes) -> None:
    answered = _open(AgeRequest("open", content, identity=str(IDENTITY)))
    assert (answered.content is None) == (answered.failure in {"wrong-passphrase", "damaged"})


IDENTITY = pyrage.x25519.Identity.generate()


def sealed_copy(content: bytes) -> object:
    return in_a_file(lambda path: SealedCopy(path, SEALING_KEYS).read())(content)


def sealed_copy_file(vouched: Vouched | None = None) -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory, "keyring.sealed")
        SealedCopy(path, SEALING_KEYS).write(KEYRING, vouched)
        return path.read_bytes()


def audit_file() -> bytes:
    content, chain = b"", BEGINNING.chain
    for number in range(1, 4):
        line = AuditLine(number, 1_800_000_000_000_000_000, f"t-{number}", "user:alice", "decrypt", "app", "0" * 32, "allowed")
        raw, chain = write_line(line, chain)
        content += raw
    return content


def opened_audit_log(path: Path) -> None:
    """A log goes on after whatever is found in its file, and what is found is said."""
    log = FileAudit(str(path), path.with_name("anchor"))
    log.record(CALL, "act", "subject")
    log.close()


def anchored_audit_log(path: Path) -> None:
    log = FileAudit(str(path.with_name("audit.log")), path)
    log.record(CALL, "act", "subject")
    log.close()


def checked_audit_log(content: bytes) -> None:
    checker = Checker({"elsewhere": BEGINNING})
    for number, raw in enumerate(content.split(b"\n")):
        for entry in [read_line(raw)]:
            if entry is not None:
                cli_audit._told(entry.line)
        checker.read(str(number), raw)
    checker.end()


def loaded(form: Format) -> Callable[[bytes], object]:
    return lambda content: list(entries(BytesIO(content), form))


ROUTE = Route(
    "GET",
    "/v1/applications/{application}/config/{config}",
    lambda _: answer({}),
    Description("Any", ANYBODY, dict, query=(DRY_RUN, WAIT)),
)
APP = App([ROUTE], None, "t", None, lambda *_: None, lambda *_: None)  # type: ignore[arg-type]


def asked(query: dict[str, str], headers: list[tuple[bytes, bytes]]) -> Request:
    return Request(CALL, UnixPeer(0, 0), (), query, headers, b"", Callers(SystemClock(), lambda _: None))


def read_query(content: bytes) -> None:
    request = asked(APP._query(content, ROUTE), [])
    request.flag("dry_run")
    assert 0 <= request.seconds("wait", 5.0) <= 5.0


def taken(question: client.exchange.Question[Any], status: int) -> Callable[[bytes], object]:
    return lambda content: question.take(Response(status, {}, content))


def store_file(path: Path) -> None:
    for alone in (False, True):
        for part in cli_store_file.parts(cli_store_file.read(path), alone=alone):
            msgspec.json.encode(part.body)


def heard(text: str) -> None:
    feed = Feed(lambda: "session")
    feed.begin()
    feed.hear([Change("config", "app", "in")])
    assert feed.since(text).cursor == "session-1"


CONFIGURATION = b"""
[server]
name = "m1"
address = "127.0.0.1:7443"
[database]
url = "postgresql+psycopg://ssod@db/ssod?sslmode=verify-full"
[access]
sso_administrators = ["group:root"]
[master]
refresh_interval = 60
[events]
webhook = "https://[::1]:9093/hook"
webhook_ca = "/ca.pem"
program = "/program"
environment = "prod"
"""

YAML = b"""- principal: user:alice
  external_id: a0815
  position: 0
  credentials: {password: "p", 'note': "n"}
- {principal: user:bob, external_id: b}
"""
CSV = b'principal,external_id,position,password\r\nuser:alice,a,0,"p"\r\nuser:bob,b,,\r\n'

CONFIG_ANSWER = (
    b'{"application": "app", "name": "in", "version": 1, "properties": {"host": "h"}, "masked": [], "key_id": "0", '
    b'"principal": "user:alice", "external_id": "a", "credentials": {"host": "h"}, "updated_at": "t", "cached_at": null}'
)
PROBLEM = (
    b'{"type": "urn:holdfast:problem:master-lost", "title": "t", "status": 503, "detail": "d", "conditions": ["c"], "next": "n"}'
)
NOTICE = b'{"name": "s1", "attached": true, "key_id": null, "epoch": 3, "version": "0.1.0"}'

STORE = (
    b'{"format": "holdfast store 1", "applications": [{"name": "a", "type": "config_store", "enabled": true, "flags": {}}], '
    b'"configs": [{"application": "a", "name": "c", "ciphertexts": {"host": "hf1.AUAg"}}], "mappings": [{"application": "a", '
    b'"principal": "user:u", "external_id": "x", "ciphertexts": {}}], '
    b'"disabled_by_user": [{"application": "a", "principal": "user:u"}]}'
)
STORE_FILE = b"""format: "holdfast store 1"
environment_id: "e"
applications:
  - {"name": "a", "type": "config_store", "enabled": true}
configs: []
mappings:
  - {"application": "a", "principal": "user:u", "external_id": "x", "ciphertexts": {}}
disabled_by_user:
  - {"application": "a", "principal": "user:u"}
"""
# What YAML can say and JSON cannot.
ODD_STORE_FILES = [
    STORE_FILE.replace(b'"name": "a"', b'"name": [a]'),
    STORE_FILE.replace(b'"application": "a"', b'"application": {b: c}'),
    STORE_FILE.replace(b'"principal": "user:u"', b"2026-01-01: x"),
    STORE_FILE.replace(b'"ciphertexts": {}', b'"ciphertexts": &c {d: *c}'),
    STORE_FILE.replace(b'"ciphertexts": {}', b'"ciphertexts": {d: !!binary aGk=}'),
    *(
        STORE_FILE.replace(b'"x"', odd)
        for odd in (b"2026-13-45", b"!!int ''", b"!!timestamp x", b"!!bool x", b"!!float ''", b"9" * 5000)
    ),
]

BODIES = [kind for kind in vars(d).values() if isinstance(kind, type) and issubclass(kind, d.Strict) and kind is not d.Strict]


def sample(kind: Any) -> Any:
    """A value of the kind, as JSON has it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {each.name: sample(each.type) for each in msgspec.structs.fields(kind)}
    if get_origin(kind) in {list, dict}:
        inner = sample(get_args(kind)[-1])
        return [inner] if get_origin(kind) is list else {"host": inner}
    if get_args(kind):
        return sample(get_args(kind)[0])
    return {str: "user:alice", int: 1, bool: True, float: 1.0, bytes: "aGVsbG8="}.get(kind)


def body_parsers() -> Iterator[Parser]:
    for kind in BODIES:
        yield Parser(f"body {kind.__name__}", body_as(kind), mutated_json(json.dumps(sample(kind)).encode()), Malformed)


def anything_of(kind: type[Any]) -> Callable[[bytes], object]:
    return lambda content: msgspec.json.decode(content, type=kind)


PARSERS = [
    Parser("envelope", lambda content: KEYRING.open(PLACE, content), mutated(SEALED), CiphertextRejected, UnknownKeyId),
    Parser("envelope, id", envelope.key_id_of, mutated(SEALED), CiphertextRejected),
    Parser(
        "envelope text",
        as_text(lambda text: KEYRING.open(PLACE, envelope.from_text(text))),
        mutated(envelope.to_text(SEALED).encode()),
        CiphertextRejected,
        UnknownKeyId,
    ),
    Parser(
        "ticket text",
        as_text(lambda text: envelope.from_text(text, tickets.TEXT_PREFIX)),
        mutated(envelope.to_text(SEALED, tickets.TEXT_PREFIX).encode()),
        CiphertextRejected,
    ),
    Parser("ticket", tickets.decode, mutated_json(TICKET), TicketRejected),
    Parser("keyring document", Keyring.from_document, mutated_json(KEYRING.document()), BadKeyring),
    Parser("sealed copy", sealed_copy, mutated(sealed_copy_file(), MAGIC), SealBroken),
    Parser("sealed cache", sealed_copy, mutated(sealed_copy_file(Vouched(1.0, 2.0)), MAGIC_CACHE), SealBroken),
    Parser("age file", opened_age_file, mutated(pyrage.encrypt(b"content", [IDENTITY.to_public()]))),
    *body_parsers(),
    Parser("store, imported", body_as(Store), mutated_json(STORE), Malformed),
    Parser(
        "store, in a file",
        in_a_file(store_file),
        st.sampled_from(ODD_STORE_FILES) | mutated(STORE_FILE, *ODD_STORE_FILES),
        CliError,
    ),
    Parser("query", read_query, mutated(b"dry_run=true&wait=5", b"wait=%35"), Malformed),
    Parser("path", APP._match, mutated(b"/v1/applications/a%2Fb/config/n"), Malformed, NoSuchPath),
    Parser("url", lambda content: APP.find_prompt(b"GET", content), mutated(b"/v1/applications/a/config/n?wait=1")),
    Parser("If-None-Match", lambda content: entity_tags(asked({}, [(b"if-none-match", content)])), mutated(b'W/"7", "8"')),
    Parser("address of a unit", asked_in, mutated(b"\x00f1e2/unit/job.service/password"), Malformed),
    Parser("control groups", as_text(unit_in), mutated(b"0::/system.slice/job.service\n", b"1:name=systemd:/init.scope\n")),
    Parser(
        "notification",
        as_text(lambda text: from_payloads([text])),
        mutated_json(payload(Change("config", "app", "in")).encode()),
        *UNREADABLE,
    ),
    Parser("cursor", as_text(heard), mutated(b"session-1")),
    Parser("answer to a notice", notice_answer, mutated_json(NOTICE), *UNREADABLE),
    Parser("another server's problem", _problem, mutated_json(PROBLEM)),
    Parser("configuration file", in_a_file(config.load), mutated(CONFIGURATION), ConfigurationRefused),
    Parser("audit log, opened", in_a_file(opened_audit_log), mutated(audit_file())),
    Parser("audit log, anchor", in_a_file(anchored_audit_log), mutated_json(msgspec.json.encode(BEGINNING))),
    Parser("audit log, checked", checked_audit_log, mutated(audit_file())),
    Parser(
        "audit log, compressed",
        in_a_file(audit_files.last_of, "audit.log.1.gz"),
        mutated(gzip.compress(audit_file())),
        OSError,
        EOFError,
        zlib.error,
    ),
    Parser(
        "audit show, --since",
        as_text(lambda text: cli_audit._moment(text, datetime.now(UTC))),
        mutated(b"12h", b"2026-11-23", b"9" * 6 + b"d", b"9" * 12 + b"d"),
        CliError,
    ),
    Parser("audit verify, --anchor", as_text(cli_audit._anchor), mutated(b"12:" + b"0" * 64), CliError),
    Parser("mappings in YAML", loaded(Format.YAML), mutated(YAML), BadLine),
    Parser("mappings in CSV", loaded(Format.CSV), mutated(CSV), BadLine),
    Parser("object of a file", in_a_file(lambda path: read_object(path, "it")), mutated_json(b'{"host": "h"}'), CliError),
    Parser(
        "client, configuration", taken(get_config("app", "in", reveal=True), 200), mutated_json(CONFIG_ANSWER), client.NotUnderstood
    ),
    Parser("client, credentials", taken(get_credentials("app"), 200), mutated_json(CONFIG_ANSWER), client.NotUnderstood),
    Parser(
        "client, plaintext", taken(decrypt("app", "c", "hf1."), 200), mutated_json(b'{"plaintext": "aGk="}'), client.NotUnderstood
    ),
    Parser(
        "client, ticket", taken(issue_ticket("app"), 200), mutated_json(b'{"ticket": "t", "expires_at": "e"}'), client.NotUnderstood
    ),
    Parser("client, problem", taken(get_credentials("app"), 503), mutated_json(PROBLEM), client.NotUnderstood, client.Problem),
    Parser("ssoctl, status", anything_of(cli_documents.Status), mutated_json(b'{"server": {}, "database": {}}'), *UNREADABLE),
]


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.says)
@fuzzed
@given(data=st.data())
def test_what_cannot_be_read_is_refused_as_documented(parser: Parser, data: st.DataObject) -> None:
    """No other error comes out, whatever goes in."""
    content = data.draw(parser.given)
    with suppress(*parser.errors):
        parser.parse(content)


def test_a_configuration_with_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ConfigurationRefused):
        in_a_file(config.load)(b"[server]\nname = " + b"9" * 5000)


@pytest.mark.parametrize("content", ODD_STORE_FILES)
def test_a_store_that_is_no_json_is_refused(content: bytes) -> None:
    """Before anything of it is sent."""
    with pytest.raises(CliError):
        in_a_file(store_file)(content)


def test_every_body_that_a_sample_is_made_of_is_one() -> None:
    """What the mutations begin with is right, so that they go deep."""
    for kind in BODIES:
        with suppress(Malformed):
            body_as(kind)(json.dumps(sample(kind)).encode())
    assert body_as(d.LoadBody)(json.dumps(sample(d.LoadBody)).encode()).mappings
