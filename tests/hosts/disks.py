"""What makes a fresh disk one particular host: its name, address, identity and keys. Writes below its root only."""

from __future__ import annotations

import ipaddress
import secrets
import shutil
from pathlib import Path

from .system import write

BEGIN, END = "# testhosts begin\n", "# testhosts end\n"


def prepare(root: Path, name: str, address: str, network: ipaddress.IPv4Network, host_key: Path, user_key: str) -> None:
    """Write the identity of a host; repeating it is harmless until the host has booted."""
    write(root / "etc/hostname", f"{name}\n")
    # Without an identity systemd takes this for a first boot and enables every unit that is installed.
    write(root / "etc/machine-id", f"{secrets.token_hex(16)}\n", 0o444)
    write(
        root / "etc/systemd/network/10-host0.network",
        "[Match]\nName=host0\n\n"
        "[Network]\n"
        f"Address={address}/{network.prefixlen}\nGateway={network[1]}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
        # A dead switch or a pulled cable must not take the address away.
        "ConfigureWithoutCarrier=yes\nIgnoreCarrierLoss=yes\n",
    )
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    write(ssh / "authorized_keys", f"{user_key.strip()}\n", 0o600)
    write(root / "etc/ssh/ssh_host_ed25519_key", host_key.read_text(), 0o600)
    shutil.copyfile(f"{host_key}.pub", root / "etc/ssh/ssh_host_ed25519_key.pub")


def write_hosts_file(root: Path, names: dict[str, str]) -> None:
    """Let every host know every other by name; lines that others added stay."""
    path = root / "etc/hosts"
    before = path.read_text() if path.exists() else ""
    if BEGIN in before and END in before:
        rest = before.partition(BEGIN)[0] + before.partition(END)[2]
    else:
        rest = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
    block = "".join(f"{address} {name}\n" for address, name in names.items())
    # In place: a rename would be lost on whoever has the file open, or bound somewhere.
    _write_changed(path, f"{rest}{BEGIN}{block}{END}")


def write_resolver(root: Path) -> None:
    """Give the host the name servers of this machine; a resolver on loopback is no use to it."""
    source = Path("/etc/resolv.conf")
    upstream = Path("/run/systemd/resolve/resolv.conf")
    servers = [line.split()[1] for line in source.read_text().splitlines() if line.startswith("nameserver ")]
    if upstream.exists() and all(server.startswith("127.") for server in servers):
        source = upstream
    _write_changed(root / "etc/resolv.conf", source.read_text())


def trust(root: Path, authority: str) -> None:
    """Let the host trust a certificate authority, also after an `update-ca-certificates` of its own."""
    _write_changed(root / "usr/local/share/ca-certificates/testhosts.crt", authority)
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    before = bundle.read_text()
    _write_changed(bundle, before if authority in before else before + authority)


def _write_changed(path: Path, text: str) -> None:
    """Write only what differs: a host whose disk is full must boot all the same."""
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
