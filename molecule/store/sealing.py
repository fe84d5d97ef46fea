"""The sealing of each server is changed: the master's to a PKCS#11 token, the standby's to a TPM2, and a plain server keeps a cache.

Both are made of software, on the hosts. The PIN goes to its tools by a pipe, as the watch reads every argv.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from typing import Any

from story import Environment, promise, wait_for

PIN = f"pin-{secrets.token_hex(8)}"
TOKEN = {
    "sso_sealing_provider": "pkcs11",
    "sso_sealing_token_module": "/usr/lib/softhsm/libsofthsm2.so",
    "sso_sealing_token_label": "holdfast",
    "sso_sealing_pin_file": "/srv/token-pin",
    "sso_sealing_token_groups": ["softhsm"],
    "sso_sealing_token_paths": ["/var/lib/softhsm/tokens"],
}
WANTED: dict[str, dict[str, Any]] = {"m1": TOKEN, "m2": {"sso_sealing_with_key": "tpm2"}, "s1": {"sso_sealed_cache_max_age": "8h"}}
NAMES = {"m1": "pkcs11", "m2": "sealing-key-tpm2", "s1": "sealing-key"}
KEYS = "ls /etc/ssod | grep -E '^(sealing|token)' | sort | xargs"
LEFT = {"m1": "sealing-pin.cred token.toml", "m2": "sealing-key-tpm2.cred", "s1": "sealing-key.cred"}

# SoftHSM's own tool takes a PIN from a terminal or an argument alone: one that is no secret is replaced.
MAKE_TOKEN = """\
set -eu
umask 077
cat > /srv/token-pin
softhsm2-util --init-token --free --label holdfast --pin first-pin --so-pin first-pin >/dev/null
/opt/ssod/current/bin/python -c '
import pkcs11
token = pkcs11.lib("/usr/lib/softhsm/libsofthsm2.so").get_token(token_label="holdfast")
token.open(rw=True, user_pin="first-pin").set_pin("first-pin", open("/srv/token-pin").read().strip())
'
chmod -R g+rwX /var/lib/softhsm/tokens
"""
# A TPM2 that listens on a port is one that systemd has to be told of: PID 1, which opens, and systemd-creds, which encrypts. Ansible's
# connection is older than what /etc/environment would say.
MAKE_TPM2 = """\
set -eu
device=swtpm:host=127.0.0.1,port=2321
mkdir -p /var/lib/swtpm /etc/systemd/system.conf.d
printf '[Unit]\\nDefaultDependencies=no\\nBefore=ssod.service\\n[Service]\\nExecStart=/usr/bin/swtpm socket --tpm2 --tpmstate dir=/var/lib/swtpm \
--server type=tcp,port=2321 --ctrl type=tcp,port=2322 --flags not-need-init,startup-clear\\n[Install]\\nWantedBy=multi-user.target\\n' \
> /etc/systemd/system/swtpm.service
printf '[Manager]\\nManagerEnvironment=SYSTEMD_TPM2_DEVICE=%s\\n' $device > /etc/systemd/system.conf.d/tpm.conf
printf '#!/bin/sh\\nSYSTEMD_TPM2_DEVICE=%s exec /usr/bin/systemd-creds "$@"\\n' $device > /usr/local/bin/systemd-creds
chmod 0755 /usr/local/bin/systemd-creds
systemctl daemon-reload
systemctl enable --quiet --now swtpm.service
"""


def sealing_of(env: Environment, host: str) -> dict[str, Any]:
    found: dict[str, Any] = env.must_ask(host, "GET", "/v1/status")["server"]["sealing"]
    return found


class Reader:
    """Reads without a pause, in a thread, until told to stop; counts what was not given."""

    def __init__(self, read: Callable[[], bool]) -> None:
        self._read = read
        self._stop = threading.Event()
        self.answered = self.failed = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._read():
                self.answered += 1
            else:
                self.failed += 1

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def change(env: Environment, reads: Callable[[str], bool]) -> dict[str, int]:
    """`reads` says whether a host decrypts. Foretold, made, and not made again, while a server that has no part in it decrypts."""
    env.ssh("m1", MAKE_TOKEN, stdin=f"{PIN}\n".encode())
    env.ssh("m2", MAKE_TPM2)
    inventory = env.state / "sealing.yml"
    # s1 is told with the others in the second run: in the first, it is the one that decrypts meanwhile.
    moved = {host: variables for host, variables in WANTED.items() if host != "s1"}
    inventory.write_text(json.dumps({"all": {"hosts": moved}}))
    given = ("-vvv", "--diff", "-i", str(inventory))
    before = {host: env.ssh(host, KEYS) for host in WANTED}
    foretold = env.must("holdfast.sso.site", "--check", *given)
    promise(foretold.changed > 0 and before == {host: env.ssh(host, KEYS) for host in WANTED}, "--check tells of it, and changes nothing")
    with Reader(lambda: reads("s1")) as reader:
        env.must("holdfast.sso.site", *given)
    promise(reader.failed == 0 < reader.answered, f"s1 has decrypted all the while: {reader.answered} times, {reader.failed} failures")
    env.ssh("m1", "rm /srv/token-pin")
    inventory.write_text(json.dumps({"all": {"hosts": WANTED}}))
    cached = env.must("holdfast.sso.site", *given)
    promise(env.must("holdfast.sso.site", *given).changed == 0 < cached.changed, "a second run changes nothing")
    for host, name in NAMES.items():
        sealing = sealing_of(env, host)
        promise((sealing["key"], sealing["sealed_under"], sealing["problem"]) == (name, name, None), f"{host} has sealed its copy with {name}")
        promise(env.ssh(host, KEYS).strip() == LEFT[host], f"the key of before is gone from {host}")
        promise(reads(host), f"{host} decrypts")
    return {"decrypted_while_the_sealing_changed": reader.answered, "failed_while_the_sealing_changed": reader.failed}


def restart_without_the_master(env: Environment, reads: Callable[[str], bool]) -> None:
    """The master has no power: a plain server with a cache, and a standby with a TPM2, are restarted and decrypt."""
    for host in ("m2", "s1"):
        env.ssh(host, "systemctl restart ssod")
        wait_for(lambda host=host: reads(host), f"{host} is restarted without a master, and decrypts", 20)
    used = sealing_of(env, "s1")["cache"]["used_until"]
    promise(used, f"s1 uses its sealed cache, until {used}")
