"""`ssod.client` against a real ssod: its answers, its errors, its connection, and the examples of its documentation."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edge import CANARY
from servers import FIELDS, Fleet, Server, client_context

from ssod.client import (
    ApplicationNotFound,
    AsyncClient,
    CiphertextRejected,
    Client,
    Config,
    ConfigNotFound,
    NotAllowed,
    Problem,
    TicketRejected,
    Unreachable,
)

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "client.md"


@pytest.fixture(scope="module")
def ready(shared_fleet: Callable[..., Fleet]) -> Fleet:
    made = shared_fleet("m1")
    m1 = made["m1"]
    m1.ok(
        "PUT",
        "/v1/applications/billing",
        {"fields": [{"name": "host"}, {"name": "password", "masked": True}], "enabled": True, "users": ["certificate:job"]},
    )
    return made


@pytest.fixture
def m1(ready: Fleet) -> Server:
    server = ready["m1"]
    put(server, "db1", CANARY)
    return server


def put(server: Server, host: str, password: str, name: str = "prod") -> None:
    server.ok("PUT", f"/v1/applications/billing/config/{name}", {"properties": {"host": host, "password": password}})


class Waiting:
    """An AsyncClient that is asked like a Client: both are tested by the same tests."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(*arguments, **options)

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def watch(self, *arguments: Any, **options: Any) -> Iterator[Config]:
        iterator = self._client.watch(*arguments, **options)
        while True:
            yield self._loop.run_until_complete(anext(iterator))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *arguments, **options: self._loop.run_until_complete(method(*arguments, **options))


Make = Callable[..., Any]


@pytest.fixture(params=[Client, Waiting], ids=["sync", "async"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def client(make: Make, m1: Server) -> Iterator[Any]:
    with make(m1.socket) as made:
        yield made


def test_a_configuration_is_read_with_its_masked_values_or_without(client: Any) -> None:
    """And is never shown when it is printed."""
    config = client.get_config("billing", "prod")
    assert config.properties == {"host": "db1", "password": CANARY}
    assert (config.application, config.name, config.masked, config.cached_at) == ("billing", "prod", ("password",), None)
    assert CANARY not in repr(config) + str(config)
    assert client.get_config("billing", "prod", reveal=False).properties == {"host": "db1"}


@pytest.mark.parametrize("value", [b"", b"\0\xff\n", bytes(300_000)])
def test_a_value_comes_back_byte_for_byte(client: Any, value: bytes) -> None:
    """Of any size."""
    assert client.decrypt("billing", "place", client.encrypt("billing", "place", value)) == value


def test_a_caller_is_given_its_own_credentials_and_redeems_tickets_of_others(make: Make, m1: Server, tmp_path: Path) -> None:
    """A ticket once, where that is wanted; nothing of it is shown when it is printed."""
    job = {
        "tls": client_context(m1.ca, m1.authority.issue(tmp_path, "job")),
        "address": ("127.0.0.1", m1.port),
        "server_name": "m1",
    }
    erp = "/v1/applications/erp"
    flags = {"tickets_allowed": True, "tickets_single_use": True}
    wanted = {"type": "individual", "enabled": True, "users": ["certificate:job"], "fields": FIELDS, "flags": flags}
    m1.ok("PUT", erp, wanted)
    m1.ok("PUT", f"{erp}/mappings/certificate:job", {"external_id": "JOB1", "credentials": {"password": CANARY}})
    with make(**job) as client, make(m1.socket) as program:
        mine = client.get_credentials("erp")
        assert (mine.external_id, mine.credentials) == ("JOB1", {"password": CANARY})
        ticket = client.issue_ticket("erp")
        assert program.redeem_ticket("erp", ticket.ticket, sender="certificate:job") == mine
        with pytest.raises(TicketRejected, match="redeemed"):
            program.redeem_ticket("erp", ticket.ticket, sender="certificate:job")
        with pytest.raises(NotAllowed):
            program.get_credentials("erp")
        assert CANARY not in repr(mine)
        assert ticket.ticket not in repr(ticket)


def test_each_refusal_is_an_exception_of_its_own(client: Any) -> None:
    """By its name, or by its status; with what to do next, and the tracking id."""
    with pytest.raises(ConfigNotFound) as absent:
        client.get_config("billing", "a/b ü")
    assert absent.value.tracking_id
    assert "'a/b ü'" in absent.value.detail
    with pytest.raises(ApplicationNotFound):
        client.encrypt("nothing", "place", b"")
    with pytest.raises(CiphertextRejected):
        client.decrypt("billing", "elsewhere", client.encrypt("billing", "place", b""))
    with pytest.raises(Problem) as unnamed:
        client.encrypt("billing", "", b"")
    assert (unnamed.value.problem, unnamed.value.status) == ("malformed-request", 400)


def test_it_speaks_over_tls_too(make: Make, m1: Server, tmp_path: Path) -> None:
    """As the certificate's name, with its rights, on a connection that is kept."""
    for name, allowed in (("job", True), ("stranger", False)):
        tls = client_context(m1.ca, m1.authority.issue(tmp_path, name))
        with make(address=("127.0.0.1", m1.port), tls=tls, server_name="m1") as client:
            for _ in range(3):
                if allowed:
                    assert client.get_config("billing", "prod").properties["host"] == "db1"
                else:
                    with pytest.raises(NotAllowed, match="certificate:stranger"):
                        client.get_config("billing", "prod")


def test_a_server_that_is_not_the_one_is_not_spoken_with(make: Make, m1: Server, tmp_path: Path) -> None:
    """Nor is anything sent without TLS."""
    tls = client_context(m1.ca, m1.authority.issue(tmp_path, "job"))
    with make(address=("127.0.0.1", m1.port), tls=tls, server_name="m2") as client, pytest.raises(Unreachable):
        client.get_config("billing", "prod")
    with pytest.raises(ValueError, match="TLS"):
        make(address=("127.0.0.1", m1.port))


def test_a_restart_of_ssod_is_not_noticed(client: Any, m1: Server) -> None:
    """The kept connection is made anew. While nothing listens, that is said."""
    assert client.get_config("billing", "prod").version
    m1.stop()
    with pytest.raises(Unreachable) as nobody:
        client.get_config("billing", "prod")
    assert not nobody.value.perhaps_done
    m1.start()
    assert client.get_config("billing", "prod").properties["host"] == "db1"
    m1.stop()
    m1.start()
    assert client.get_config("billing", "prod").properties["host"] == "db1"


def test_a_watch_tells_each_new_value_and_outlives_a_restart(client: Any, m1: Server) -> None:
    """It is asked in a thread of its own; the client goes on being asked meanwhile."""
    put(m1, "first", "1", "watched")
    values = client.watch("billing", "watched", wait=2)
    assert next(values).properties == {"host": "first", "password": "1"}
    put(m1, "second", "2", "watched")
    assert next(values).properties == {"host": "second", "password": "2"}
    m1.stop()
    m1.start()
    put(m1, "third", "3", "watched")
    assert next(values).properties == {"host": "third", "password": "3"}
    m1.ok("DELETE", "/v1/applications/billing/config/watched")
    with pytest.raises(ConfigNotFound):
        next(values)
    assert client.get_config("billing", "prod").properties["host"] == "db1"


def test_threads_and_forks_may_share_a_client(m1: Server) -> None:
    """Each gets the answer to its own question."""
    client = Client(m1.socket)
    wrong: list[object] = []

    def ask(number: int) -> None:
        for round_ in range(20):
            value = b"%d-%d" % (number, round_)
            if client.decrypt("billing", "c", client.encrypt("billing", "c", value)) != value:
                wrong.append(value)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    child = os.fork()
    if child == 0:
        try:
            ask(100)
        finally:
            os._exit(len(wrong))
    ask(200)
    assert os.waitpid(child, 0)[1] == 0
    assert wrong == []


def test_a_task_that_is_cancelled_leaves_no_answer_to_the_next(m1: Server) -> None:
    """Its connection is given up: what would come there is not what is asked next."""

    async def story() -> None:
        client = AsyncClient(m1.socket)
        for pause in (0.0, 0.0001, 0.0005, 0.001, 0.002, 0.005):
            asking = asyncio.create_task(client.encrypt("billing", "c", b"given up"))
            await asyncio.sleep(pause)  # somewhere within the exchange
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            assert (await client.get_config("billing", "prod")).properties["host"] == "db1"
        await client.close()

    asyncio.run(story())


def test_the_examples_of_the_documentation_work(m1: Server) -> None:
    """Every block of docs/client.md, in order, at this server's socket."""
    put(m1, "db1", CANARY)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert len(blocks) >= 7
    reconnected: list[tuple[str, str]] = []

    class Enough(Exception):
        pass

    def reconnect(host: str, password: str) -> None:
        reconnected.append((host, password))
        raise Enough

    here: dict[str, Any] = {"reconnect": reconnect}
    for block in blocks:
        exec(block.replace("Client()", f"Client({m1.socket!r})"), here)  # noqa: S102  our own documentation
    assert here["connect_to"] == ("db1", CANARY)
    assert here["keep"](b"value").startswith("hf1.")
    assert here["region"]() == "everywhere"
    with pytest.raises(Enough):
        here["follow"]()
    assert reconnected == [("db1", CANARY)]
    assert here["host"] == "db1"
    assert isinstance(here["ssl"].create_default_context(), ssl.SSLContext)
