"""Looks for secrets where none may be: outputs, journals, logs, argv, environments, core files, the database's files.

The processes of test hosts are seen from outside, in this machine's /proc: one watch sees every argv there is.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import threading
from pathlib import Path

from story import Environment, PromiseBroken, wait_for

# A backup is opened by the project's own dependency here; that Debian's `age` opens it too is the restore scenario's story.
OPEN_BACKUP = "import sys, pyrage; sys.stdout.buffer.write(pyrage.passphrase.decrypt(open(sys.argv[1], 'rb').read(), open(sys.argv[2]).read().strip()))"


def secrets_of(environment: Environment) -> dict[str, bytes]:
    """The backup's passphrase, and every key of the keyring in the backup on the control node."""
    directory = environment.state / "control" / "backup"
    passphrase = directory / "passphrase"
    found = {"the backup's passphrase": passphrase.read_text(encoding="utf-8").strip().encode()}
    backups = sorted(directory.glob("**/*.age"))
    if not backups:
        raise PromiseBroken(f"there is no backup below {directory}")
    for backup in backups:
        done = subprocess.run([sys.executable, "-c", OPEN_BACKUP, str(backup), str(passphrase)], check=True, capture_output=True)
        for key in json.loads(done.stdout)["keys"]:
            found[f"the master secret {key['id']}"] = base64.b64decode(key["secret"])
    return found


def spellings(secret: bytes) -> list[bytes]:
    """As it is, in hex and in base64; what is short is looked for only as it is."""
    encoded = base64.b64encode(secret)
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), encoded.rstrip(b"="), base64.urlsafe_b64encode(secret).rstrip(b"=")]


def _found(secret: bytes, places: list[tuple[str, bytes]]) -> list[str]:
    return [place for place, text in places if any(spelling in text for spelling in spellings(secret))]


class Watch:
    """Collects every argv and environment that this machine's processes have while it is open."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._seen: set[bytes] = set()
        self._looked: set[tuple[str, bytes]] = set()
        self._ended = threading.Event()
        self._planted = f"planted-{secrets.token_hex(16)}"
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        # What is planted must be found in the end: else the watch is blind, and its silence says nothing.
        with subprocess.Popen(["/bin/sh", "-c", "read _", self._planted], stdin=subprocess.PIPE) as process:
            wait_for(lambda: any(self._planted.encode() in text for text in list(self._seen)), "the watch sees an argv", 10)
            process.communicate(b"\n")
        for host in self._environment.variables:
            self._environment.ssh(host, f"logger planted {self._planted}")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            for process in Path("/proc").iterdir():
                if not process.name.isdigit():
                    continue
                try:
                    command = (process / "cmdline").read_bytes()
                    if (process.name, command) in self._looked:
                        continue
                    self._looked.add((process.name, command))
                    self._seen.add(b"argv: " + command)
                    self._seen.add(b"environment: " + (process / "environ").read_bytes())
                except OSError:
                    continue  # it has ended

    def leaks(self, wanted: dict[str, bytes]) -> list[str]:
        """Every place where one of the secrets was found, by name."""
        places = [(text[:80].decode(errors="replace"), text) for text in self._seen]
        places += [(log.name, log.read_bytes()) for log in self._environment.state.glob("*.log")]
        for host in self._environment.variables:
            places += self._of_host(host)
        blind = {f"journal of {host}" for host in self._environment.variables} - set(_found(self._planted.encode(), places))
        if blind:
            raise PromiseBroken(f"the watch does not see what was planted: {', '.join(sorted(blind))}")
        return sorted(f"{name} in {place}" for name, secret in wanted.items() for place in _found(secret, places))

    def _of_host(self, host: str) -> list[tuple[str, bytes]]:
        """Journal and logs, and every file that a daemon may write in the clear; the sealed and encrypted ones as well."""
        ssh, ssh_bytes = self._environment.ssh, self._environment.ssh_bytes
        places = [(f"journal of {host}", ssh_bytes(host, "journalctl --no-pager -o export"))]
        listed = ssh(host, "find /var/log /var/lib/ssod /etc/ssod /var/backups /var/lib/systemd/coredump /run/ssod /tmp /var/tmp "
                           "-type f -size -20M 2>/dev/null; find / -xdev -name 'core*' -type f -size -20M -path '*/tmp/*' 2>/dev/null").split("\n")  # fmt: skip
        for path in filter(None, listed):
            if path.endswith("/probe.jsonl") or path.startswith("/var/log/journal"):
                continue
            places.append((f"{host}:{path}", ssh_bytes(host, f"cat '{path}' 2>/dev/null || true")))
        return places
