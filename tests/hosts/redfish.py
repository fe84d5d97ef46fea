"""A small Redfish service: shows the hosts of one environment as systems, and powers them off and on for real."""

from __future__ import annotations

import base64
import hmac
import json
import socketserver
import ssl
from collections.abc import Callable
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from . import board, network
from .environments import Environment, Host
from .errors import HostsError, UsageError

ROOT = board.SYSTEMS.rpartition("/")[0]
RESET = "Actions/ComputerSystem.Reset"
Json = dict[str, object]


def serve(directory: Path) -> None:
    """Answer until this process is ended."""
    environment = Environment(directory.name)
    if environment.number is None:
        raise UsageError(f"there is no environment in {directory}")
    access = board.access_to(directory, str(network.network_of(environment.number)[1]), "")
    credentials = f"{access['username']}:{access['password']}".encode()
    with _Server(directory, str(access["address"]), f"Basic {base64.b64encode(credentials).decode()}") as server:
        server.serve_forever()


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, directory: Path, address: str, authorization: str) -> None:
        super().__init__((address, board.PORT), _Handler)
        self.directory = directory
        self.authorization = authorization
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*board.certificate(directory))
        # The handshake belongs to the first read, in a thread of its own: one slow client must not hold up the others.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10
    # One write for an answer: two of them wait for each other, 40 ms each time (Nagle, delayed acknowledgement).
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer what there is, and what state it is in."""
        self._answer(self._read)

    def do_POST(self) -> None:
        """Press a system's power button."""
        self._answer(self._reset)

    def _answer(self, act: Callable[[Environment, list[str]], tuple[HTTPStatus, Json]]) -> None:
        """Do it for whoever has the password; `act` is given the environment and the path's parts below /Systems."""
        path = self.path.rstrip("/")
        try:
            if not hmac.compare_digest(self.headers.get("Authorization", ""), self.server.authorization):
                status, body = _fault(HTTPStatus.UNAUTHORIZED, "the user name or the password is wrong")
            elif path == ROOT:
                status, body = HTTPStatus.OK, {"@odata.id": ROOT, "Systems": {"@odata.id": board.SYSTEMS}}
            elif f"{path}/".startswith(f"{board.SYSTEMS}/"):
                # Read anew: an `up` may have added hosts.
                parts = path.removeprefix(board.SYSTEMS).strip("/").split("/", 1)
                status, body = act(Environment(self.server.directory.name), [part for part in parts if part])
            else:
                status, body = _fault(HTTPStatus.NOT_FOUND, f"nothing is at {path}")
        except UsageError as error:
            status, body = _fault(HTTPStatus.NOT_FOUND, str(error))
        except HostsError as error:
            status, body = _fault(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _read(self, environment: Environment, parts: list[str]) -> tuple[HTTPStatus, Json]:
        if not parts:
            members = [{"@odata.id": f"{board.SYSTEMS}/{host.name}"} for host in environment.hosts]
            return HTTPStatus.OK, {"@odata.id": board.SYSTEMS, "Members": members}
        if len(parts) > 1:
            return _fault(HTTPStatus.NOT_FOUND, f"nothing is at {self.path}")
        host = environment.host(parts[0])
        path = f"{board.SYSTEMS}/{host.name}"
        reset = {"target": f"{path}/{RESET}", "ResetType@Redfish.AllowableValues": list(_RESETS)}
        power = "On" if environment.is_on(host) else "Off"
        actions = {"#ComputerSystem.Reset": reset}
        return HTTPStatus.OK, {"@odata.id": path, "Id": host.name, "PowerState": power, "Actions": actions}

    def _reset(self, environment: Environment, parts: list[str]) -> tuple[HTTPStatus, Json]:
        if parts[1:] != [RESET]:
            return _fault(HTTPStatus.METHOD_NOT_ALLOWED, f"nothing can be done at {self.path}")
        host = environment.host(parts[0])
        try:
            how = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))["ResetType"]
            act = _RESETS[how]
        except (ValueError, KeyError, TypeError):
            return _fault(HTTPStatus.BAD_REQUEST, f"ResetType must be one of {', '.join(_RESETS)}")
        act(environment, host)
        self._record(host.name, how)
        return HTTPStatus.OK, {}

    def _record(self, system: str, action: str) -> None:
        """Write down what was done, and when it was: reports tell a failover's story from it."""
        line = {"at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"), "system": system, "action": action}
        with (self.server.directory / "redfish.log").open("a") as log:
            log.write(json.dumps(line) + "\n")


def _restart(environment: Environment, host: Host) -> None:
    environment.off(host)
    environment.on(host)


_RESETS: dict[str, Callable[[Environment, Host], object]] = {
    "On": Environment.on,
    "ForceOff": Environment.off,
    "ForceRestart": _restart,
}


def _fault(status: HTTPStatus, message: str) -> tuple[HTTPStatus, Json]:
    return status, {"error": {"code": "Base.1.0.GeneralError", "message": message}}
