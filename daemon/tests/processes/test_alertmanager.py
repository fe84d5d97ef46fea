"""Debian's own Alertmanager is told of the same alert and tells the same listener: the two messages are of one shape."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from hooked import Listener, listening
from postgres import free_port
from waiting import wait_for

from ssod.core.alertmanager import News, Origin, message

NEWS = News("SsoServerDown", "s1", "", datetime.now(UTC), None)


@contextmanager
def alertmanager(root: Path, listener: Listener) -> Iterator[int]:
    program = shutil.which("prometheus-alertmanager")
    assert program is not None, "apt-get install prometheus-alertmanager"
    configuration = {
        "route": {"receiver": "ssod", "group_by": ["environment", "alertname"], "group_wait": "0s"},
        "receivers": [{"name": "ssod", "webhook_configs": [{"url": listener.url}]}],
    }
    (root / "alertmanager.yml").write_text(yaml.safe_dump(configuration))
    port = free_port()
    command = [program, f"--config.file={root}/alertmanager.yml", f"--storage.path={root}/data"]
    with (root / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], stdout=log, stderr=log
        )
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def tell(port: int, alerts: list[Any]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/api/v2/alerts", json.dumps(alerts), {"Content-Type": "application/json"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value)


def test_alertmanager_itself_says_it_likewise(tmp_path: Path) -> None:
    """The same members, and the same texts, labels, group and fingerprint; where it tells from is its own."""
    ours = json.loads(message(NEWS, Origin("prod", "m1:7443", "https://wiki.example")))
    (alert,) = ours["alerts"]
    given = {name: alert[name] for name in ("labels", "annotations", "startsAt", "generatorURL")}
    with listening() as listener, alertmanager(tmp_path, listener) as port:
        wait_for(lambda: tell(port, [given]), "Alertmanager takes the alert")
        (theirs,) = wait_for(lambda: listener.messages, "Alertmanager tells it")[:1]
    assert shape(ours) == shape(theirs)
    own = {"externalURL": "its own"}
    its = datetime.fromisoformat(theirs["alerts"][0]["startsAt"])
    assert its == datetime.fromisoformat(alert["startsAt"])
    theirs["alerts"][0]["startsAt"] = alert["startsAt"]  # it leaves out zeros at the end
    assert ours | own == theirs | own
