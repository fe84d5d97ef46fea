"""Servers with the status page on a port of localhost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postgres import free_port
from servers import Fleet, Server

Make = Callable[..., Fleet]


class Paged(Server):
    """A server with the status page on a port of localhost."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.page_port = free_port()
        # Long enough to be no reason for a warning.
        self.files = self.authority.issue(self.root, self.name, days=400)
        self.config.write_text(f'{self.config.read_text()}[page]\nlisten = "127.0.0.1:{self.page_port}"\n')


class PagedFleet(Fleet):
    kind = Paged


def page_port(server: Server) -> int:
    assert isinstance(server, Paged)
    return server.page_port


def at(server: Server) -> str:
    """The page of a server on localhost."""
    return f"http://localhost:{page_port(server)}/"


def all_have_reported(server: Server) -> bool:
    return all(each["attached"] for each in server.ok("GET", "/v1/status")["servers"])
