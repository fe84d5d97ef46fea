"""Ask ssod one thing over its unix socket, as whoever runs this: the body from standard input, the answer as one JSON line."""

from __future__ import annotations

import http.client
import json
import socket
import sys


class Connection(http.client.HTTPConnection):
    """HTTP over the unix socket of ssod."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect("/run/ssod/ssod.sock")


method, path = sys.argv[1:]
body = sys.stdin.read()
connection = Connection("localhost")
connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
response = connection.getresponse()
content = response.read().decode()
is_json = "json" in (response.getheader("Content-Type") or "")
sys.stdout.write(json.dumps({"status": response.status, "body": json.loads(content) if is_json and content else content}))
