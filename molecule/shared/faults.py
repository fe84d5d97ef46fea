"""What befalls a host: its ssod is signalled, its disk is full, it does not reach others, its certificate is another one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from story import Environment, PromiseBroken, wait_for

CERTIFICATE = "/etc/ssod/tls/server.pem"


def signal_ssod(env: Environment, host: str, signal: str) -> None:
    """Kill or freeze a daemon; systemd has another one in its place afterwards."""
    shown = "systemctl show ssod -p MainPID --value"
    pid = int(env.ssh(host, shown))
    if pid <= 1:
        raise PromiseBroken(f"ssod of {host} does not run")
    env.ssh(host, f"kill -{signal} {pid}")
    wait_for(lambda: env.ssh(host, shown).strip() not in {str(pid), "0"}, "it is replaced", 60)


def fill_disk(env: Environment, host: str) -> None:
    """Take every byte of a host's disk, which must be of its own (`disk` in molecule.yml)."""
    env.ssh(host, "fallocate --length $(($(stat --file-system --format '%f * %S' /var/tmp) + (1 << 30))) /var/tmp/filler; "
                  "dd if=/dev/zero of=/var/tmp/filler2 bs=4096 2>/dev/null; sync; ! echo x >/var/tmp/filler3", check=False)  # fmt: skip


def free_disk(env: Environment, host: str) -> None:
    env.ssh(host, "rm -f /var/tmp/filler /var/tmp/filler2 /var/tmp/filler3")


def _routes(env: Environment, verb: str, others: Iterable[str]) -> str:
    return "; ".join(f"ip route {verb} blackhole {env.variables[other]['ansible_host']}/32" for other in others)


def blackhole(env: Environment, host: str, others: Iterable[str]) -> None:
    """The host and the others see each other no more; whoever else there is sees all of them."""
    env.ssh(host, _routes(env, "add", others))


def heal(env: Environment, host: str, others: Iterable[str]) -> None:
    """A host that lost its power has lost these routes with it."""
    env.ssh(host, _routes(env, "del", others), check=False)


def issue_again(env: Environment, host: str, days: int) -> None:
    """A host's certificate is in the place of the old one, for the same key and of the environment's CA, and has so many days left."""
    directory = env.state / "control" / "pki"
    authority = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    key = serialization.load_pem_private_key((directory / "ca.key").read_bytes(), None)
    old, end = x509.load_pem_x509_certificate(env.ssh_bytes(host, f"cat {CERTIFICATE}")), datetime.now(UTC) + timedelta(days=days, hours=1)
    new = x509.CertificateBuilder(authority.subject, old.subject, old.public_key(), x509.random_serial_number())
    new = new.not_valid_before(min(end, datetime.now(UTC)) - timedelta(days=9)).not_valid_after(end)
    for extension in old.extensions:
        new = new.add_extension(extension.value, extension.critical)
    issued = new.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
    env.ssh(host, f"cat >{CERTIFICATE}", stdin=issued)
