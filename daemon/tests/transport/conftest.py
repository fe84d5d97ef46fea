"""One ssod for all tests of the edge, which none of them may change; callers of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from edge import CANARY, Files
from pki import Authority
from postgres import SUPERUSER, Postgres
from servers import Fleet, Server

from ssod.storage.migrations import migrate


@pytest.fixture(scope="module")
def edge_fleet(tmp_path_factory: pytest.TempPathFactory, authority: Authority, postgres: Postgres) -> Iterator[Fleet]:
    """The master `m1` on PostgreSQL, whose administrators are the tests' own group and `certificate:admin`."""
    root = tmp_path_factory.mktemp("edge")
    url = postgres.url()
    migrate(url)
    fleet = Fleet(root, authority, url)
    fleet.add("m1", administrators=["certificate:admin"])
    try:
        fleet.make_ready()
        m1 = fleet["m1"]
        m1.ok("PUT", "/v1/applications/app", {"enabled": True, "fields": [{"name": "host"}], "users": ["certificate:job"]})
        m1.ok("PUT", "/v1/applications/app/config/in", {"properties": {"host": "h"}})
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def m1(edge_fleet: Fleet) -> Server:
    return edge_fleet["m1"]


@pytest.fixture(scope="module")
def issued(edge_fleet: Fleet) -> Callable[..., Files]:
    """A certificate of the environment's CA for a name."""
    known: dict[str, Files] = {}

    def issue(name: str) -> Files:
        if name not in known:
            directory = edge_fleet.root / f"files-of-{name}"
            directory.mkdir()
            known[name] = edge_fleet.authority.issue(directory, name)
        return known[name]

    return issue


@pytest.fixture(params=["unix", "tls"])
def face(request: pytest.FixtureRequest, issued: Callable[..., Files]) -> Files | None:
    """What an SSO administrator shows at either face: nothing at the socket, a certificate over TLS."""
    return issued("admin") if request.param == "tls" else None


class Dump:
    """Everything in a database but what a server writes of itself at any time, as text."""

    def __init__(self, url: str, postgres: Postgres) -> None:
        name = url.partition("@/")[2].partition("?")[0]
        self.connection = psycopg.connect(host=str(postgres.directory), dbname=name, user=SUPERUSER, autocommit=True)
        tables = self.connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        own = "{{{{last_seen,confirmed_at,confirmed_epoch,audit_sequence,audit_head}}}}"
        each = "SELECT '{0}', (to_jsonb(t) - 'OWN'::text[])::text FROM \"{0}\" t".replace("OWN", own)
        self._query = " UNION ALL ".join(each.format(table).replace("{{", "{").replace("}}", "}") for (table,) in tables)
        self.last = self.now()

    def now(self) -> list[object]:
        return sorted(self.connection.execute(self._query).fetchall())  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def dump(edge_fleet: Fleet, postgres: Postgres) -> Iterator[Dump]:
    made = Dump(edge_fleet.url, postgres)
    yield made
    made.connection.close()


@pytest.fixture
def without_a_trace(edge_fleet: Fleet, dump: Dump) -> Iterator[None]:
    """Fails a test after which the database is another, or a canary is in the log or the audit log."""
    m1 = edge_fleet["m1"]
    read = {file: file.stat().st_size for file in (m1.log, m1.audit)}
    yield
    before, dump.last = dump.last, dump.now()
    assert dump.last == before
    for file, size in read.items():
        assert CANARY.encode() not in file.read_bytes()[size:]
