"""Ask ssod many things over its unix socket, as whoever runs this: a JSON list of [method, path, body] from standard input.

Prints a JSON list of [status, name of the problem or null].
"""

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


answers = []
connection = Connection("localhost")
for method, path, body in json.load(sys.stdin):
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    content = response.read()
    problem = json.loads(content)["type"].rpartition(":")[2] if response.status >= 400 else None
    answers.append([response.status, problem])
json.dump(answers, sys.stdout)
