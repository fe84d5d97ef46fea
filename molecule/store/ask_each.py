"""Ask ssod many things over its unix socket, as whoever runs this: a JSON list of [method, path, body] from standard input.

Prints a JSON list of [status, document, when it came].
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time


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
    answers.append([response.status, json.loads(response.read()), time.time()])
json.dump(answers, sys.stdout)
