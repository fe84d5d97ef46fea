"""The management board of an environment: its certificate, its password, and the process that is its controller."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from .errors import HostFailed
from .machines import tail
from .system import command_lines, remove_tree, run, wait_until, write

PORT = 8443
USERNAME = "admin"
SYSTEMS = "/redfish/v1/Systems"
COMMAND = "serve-redfish"

# Python 3.13 refuses an authority that does not say what its key is for, and a certificate that does not say whose.
EXTENSIONS = """[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:{address}
"""


def start(directory: Path, address: str) -> None:
    """Let the controller of an environment run, and wait until it answers; it outlives this process."""
    if not _at(directory).exists():
        _make(directory, address)
    if _process(directory) is not None:
        return
    log = _at(directory) / "server.log"
    with log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-B", str(Path(__file__).with_name("__main__.py")), COMMAND, str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )

    def answers() -> bool:
        with suppress(OSError), socket.create_connection((address, PORT), timeout=1):
            return True
        return False

    if not wait_until(answers, 15):
        raise HostFailed(f"nothing answers on {address} port {PORT}; the Redfish stand-in says:\n{tail(log)}")


def stop(directory: Path) -> None:
    """End the controller; its certificate and its password stay."""
    process = _process(directory)
    if process is not None:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        if not wait_until(lambda: _process(directory) is None, 5):
            raise HostFailed(f"the Redfish stand-in of {directory} does not end (process id {process})")


def authority(directory: Path) -> str:
    """The certificate of the authority that the environment's hosts trust."""
    return (_at(directory) / "authority.pem").read_text()


def certificate(directory: Path) -> tuple[Path, Path]:
    """What the controller shows and proves itself with: the files of its certificate and its key."""
    return _at(directory) / "server.pem", _at(directory) / "server.key"


def access_to(directory: Path, address: str, system: str) -> dict[str, str | int]:
    """All that whoever powers one system off needs."""
    password = (_at(directory) / "password").read_text()
    path = f"{SYSTEMS}/{system}"
    return {"address": address, "port": PORT, "username": USERNAME, "password": password, "system": path}


def _make(directory: Path, address: str) -> None:
    new = directory / "redfish.new"
    remove_tree(new)
    new.mkdir(mode=0o700)
    write(new / "password", secrets.token_urlsafe(18), 0o600)
    write(new / "extensions", EXTENSIONS.format(address=address))
    request = ["openssl", "req", "-x509", "-config", str(new / "extensions"), "-days", "3650", "-nodes"]
    request += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    issuer = ["-CA", str(new / "authority.pem"), "-CAkey", str(new / "authority.key")]
    for name, subject, by in (("authority", directory.name, []), ("server", address, issuer)):
        files = ["-keyout", str(new / f"{name}.key"), "-out", str(new / f"{name}.pem")]
        run([*request, *by, "-subj", f"/O=testhosts/CN={subject}", "-extensions", name, *files])
    new.rename(_at(directory))


def _process(directory: Path) -> int | None:
    ours = [COMMAND, str(directory)]
    return next((process for process, arguments in command_lines() if arguments[-2:] == ours), None)


def _at(directory: Path) -> Path:
    return directory / "redfish"
