"""What an SSO server is on its host: its unit, its files, its sockets. Shared with the other scenarios by a link."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest


def status(host: Any) -> Any:
    return json.loads(host.check_output("ssoctl status --json"))


def test_unit_runs_and_starts_at_boot(host: Any) -> None:
    """The unit ssod runs and is enabled."""
    unit = host.service("ssod")
    assert unit.is_running, host.run("journalctl -u ssod -n 50").stdout
    assert unit.is_enabled


def test_unit_is_hardened(host: Any) -> None:
    """systemd's own judgement of the unit's exposure is 2.0 or better."""
    verdict = host.check_output("systemd-analyze security --no-pager ssod | tail -n 1")
    exposure = float(re.search(r"([0-9]+\.[0-9]+)", verdict)[1])
    assert exposure <= 2.0, verdict


def test_systemd_knows_that_it_is_ready_and_alive(host: Any) -> None:
    """The unit tells systemd when it is ready, how it is, and that it is alive."""
    shown = host.check_output("systemctl show ssod -p Type -p WatchdogUSec -p StatusText")
    assert "Type=notify" in shown
    assert "WatchdogUSec=0" not in shown
    assert "StatusText=attached" in shown


def test_it_runs_as_its_own_user_without_capabilities(host: Any) -> None:
    """The daemon is the user ssod and may not become anybody else."""
    pid = host.check_output("systemctl show ssod -p MainPID --value")
    lines = dict(line.split(":\t", 1) for line in host.check_output(f"cat /proc/{int(pid)}/status").splitlines() if ":\t" in line)
    uid = host.user("ssod").uid
    assert lines["Uid"].split() == [str(uid)] * 4
    assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == int(lines["CapBnd"], 16) == 0
    assert lines["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize(
    ("path", "user", "group", "mode"),
    [
        ("/etc/ssod/ssod.toml", "root", "ssod", 0o640),
        ("/etc/ssod/tls/server.key", "root", "ssod", 0o640),
        ("/etc/ssod/sealing-key.cred", "root", "root", 0o600),
        ("/var/lib/ssod", "ssod", "ssod", 0o700),
        ("/var/log/ssod/audit.log", "ssod", "ssod", 0o600),
    ],
)
def test_files_belong_to_whom_they_should(host: Any, path: str, user: str, group: str, mode: int) -> None:
    """Owner, group and mode leave nobody else in."""
    file = host.file(path)
    assert (file.user, file.group, oct(file.mode & 0o777)) == (user, group, oct(mode))


def test_only_its_faces_listen(host: Any) -> None:
    """The unix socket is open to all callers, that of systemd to nobody else, the mutual-TLS port and the status page
    listen, and nothing else does."""
    assert host.socket("tcp://0.0.0.0:7443").is_listening
    assert host.file("/run/ssod/ssod.sock").mode & 0o777 == 0o666
    assert host.file("/run/ssod/credentials.sock").mode & 0o777 == 0o600
    listening = host.check_output("ss -H -l -n -p -t -u -x").splitlines()
    ours = [line.split() for line in listening if '"ssod"' in line or '"python' in line]
    assert sorted(words[4] for words in ours) == ["/run/ssod/credentials.sock", "/run/ssod/ssod.sock", "0.0.0.0:7443", "127.0.0.1:7480"], ours


def test_a_certificate_is_needed_on_the_tls_face(host: Any) -> None:
    """A client without a certificate gets no answer, and neither does one with TLS 1.2."""
    probe = (
        "import ssl, socket, sys; c = ssl.create_default_context(cafile='/etc/ssod/tls/ca.pem'); c.check_hostname = False; "
        "c.maximum_version = ssl.TLSVersion[sys.argv[1]]; s = c.wrap_socket(socket.create_connection(('127.0.0.1', 7443))); "
        "s.send(b'GET /v1/health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); sys.stdout.write(str(s.recv(1)))"
    )
    for version in ("TLSv1_3", "TLSv1_2"):
        done = host.run(f'python3 -c "{probe}" {version}')
        # Refused in the handshake, or cut off after it without a byte: TLS 1.3 tells a client of it only then.
        assert done.stdout in {"", "b''"}, (version, done.stdout)
        assert done.rc == 0 or any(word in done.stderr.lower() for word in ("ssl", "reset")), (version, done.stderr)


def test_root_has_no_role_by_being_root(host: Any) -> None:
    """Without membership in sso-admins not even root may see the secret's state."""
    done = host.run("setpriv --clear-groups ssoctl secret show")
    assert done.rc == 0, done.stderr  # membership is read from the host's own database, not from the process
    done = host.run("setpriv --reuid nobody --regid nogroup --clear-groups ssoctl secret show")
    assert done.rc == 3, done.stderr


def test_it_survives_a_reload(host: Any) -> None:
    """SIGHUP keeps the process, its state and its sockets."""
    before = host.check_output("systemctl show ssod -p MainPID --value")
    host.check_output("systemctl reload ssod")
    assert host.check_output("systemctl show ssod -p MainPID --value") == before
    assert status(host)["server"]["can_encrypt"] is True


def test_health_is_one_sentence(host: Any) -> None:
    """Status, health and metrics agree."""
    server = status(host)["server"]
    assert server["sentence"].startswith("attached: ")
    metrics = host.check_output("python3 /usr/local/lib/ask.py GET /metrics < /dev/null")
    assert "ssod_attached 1.0" in metrics
    assert "ssod_can_encrypt 1.0" in metrics
