# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module's main() against a fake ssod on a real unix socket, and reads what it prints."""

from __future__ import annotations

import contextlib
import http.server
import importlib
import io
import json
import socketserver
import threading
import typing as t

from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args
from ansible_collections.holdfast.sso.tests.unit.fake_ssod import FakeSsod

# From ansible-core 2.21 on, the invocation is returned only when the controller asks for it.
INVOCATION = {"_ansible_inject_invocation": True} if "inject_invocation" in PASS_VARS else {}


class Outcome(t.Dict[str, t.Any]):  # noqa: UP006
    """What a module returned, with everything that it printed."""

    def __init__(self, printed: str, exit_code: int) -> None:
        super().__init__(json.loads(printed))
        self.printed = printed
        self.exit_code = exit_code

    @property
    def changed(self) -> bool:
        assert not self.failed, self["msg"]
        return self["changed"]

    @property
    def failed(self) -> bool:
        return self.exit_code != 0


class Rig:
    """A fake ssod, the socket that it listens on, and the modules that speak to it."""

    def __init__(self, ssod: FakeSsod, socket_path: str) -> None:
        self.ssod = ssod
        self.socket_path = socket_path
        # Everything that any module has printed: no secret may be in it.
        self.printed = ""

    def run(self, name: str, /, check: bool = False, **options: t.Any) -> Outcome:
        module = importlib.import_module(f"ansible_collections.holdfast.sso.plugins.modules.{name}")
        arguments = {
            "socket": self.socket_path,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **INVOCATION,
            **options,
        }
        stdout = io.StringIO()
        exit_code = -1
        with patch_module_args(arguments), contextlib.redirect_stdout(stdout):
            try:
                module.main()
            except SystemExit as ending:
                exit_code = int(ending.code or 0)
        self.printed += stdout.getvalue()
        return Outcome(stdout.getvalue(), exit_code)

    def four_ways(self, name: str, /, **options: t.Any) -> tuple[Outcome, Outcome]:
        """Check, run, check, run: only the first run changes anything, and check mode tells so beforehand."""
        before = self.ssod.snapshot(), self.ssod.mastership
        foretold = self.run(name, check=True, **options)
        assert foretold.changed
        assert (self.ssod.snapshot(), self.ssod.mastership) == before
        assert self.ssod.written() == []

        done = self.run(name, **options)
        assert done.changed
        after = self.ssod.snapshot(), self.ssod.mastership
        written = self.ssod.written()

        assert not self.run(name, check=True, **options).changed
        again = self.run(name, **options)
        assert not again.changed
        assert again["diff"]["before"] == again["diff"]["after"]
        assert (self.ssod.snapshot(), self.ssod.mastership) == after
        assert written
        return foretold, done


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _UnixServer

    def answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert bool(content) == (self.headers.get("Content-Type") == "application/json")
        status, document = self.server.ssod.handle(self.command, self.path, content)
        payload = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json" if status >= 400 else "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_unused: t.Any) -> None:
        """A unix socket has no client address to log."""


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, ssod: FakeSsod) -> None:
        super().__init__(path, _Handler)
        self.ssod = ssod


@contextlib.contextmanager
def listening(ssod: FakeSsod, path: str) -> t.Iterator[None]:
    """The fake behind a real unix socket."""
    server = _UnixServer(path, ssod)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
