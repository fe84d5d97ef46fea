"""How an environment is reached: its keys, its known hosts, its ssh command line and its Ansible inventory."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .system import run, write


def make_key(path: Path, comment: str) -> str:
    """Make an ed25519 key pair unless it is there; return the public half."""
    public = path.with_name(f"{path.name}.pub")
    if not public.exists():
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
    return public.read_text().strip()


def ssh_command(directory: Path, address: str, *options: str) -> list[str]:
    """The ssh command line to one host; the caller's own ssh configuration plays no part."""
    common = ["-F", "/dev/null", "-i", str(directory / "key"), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"]
    return ["ssh", *common, *_connection_options(directory), *options, f"root@{address}"]


def remote_command(words: Sequence[str]) -> str:
    """What is sent to the shell over there: one word is a shell line, several are quoted one by one."""
    return words[0] if len(words) == 1 else shlex.join(words)


def write_known_hosts(directory: Path, hosts: Iterable[tuple[str, str, str]]) -> None:
    """Write the host keys; `hosts` gives name, address, public key."""
    write(directory / "known_hosts", "".join(f"{address},{name} {key}\n" for name, address, key in hosts))


@dataclass(frozen=True)
class InventoryHost:
    """One host of the inventory, with variables of its own."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, object]


def write_inventory(directory: Path, variables: Mapping[str, object], hosts: Sequence[InventoryHost]) -> Path:
    """Write the Ansible inventory; `variables` are those of all hosts. Values are JSON, which is YAML."""
    lines = ["---", "all:", "  vars:"]
    for name, value in {
        # Said here, because a tool that adds an inventory of its own may say "local" for hosts it does not know.
        "ansible_connection": "ssh",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(directory / "key"),
        "ansible_ssh_common_args": shlex.join(["-o", "IdentitiesOnly=yes", *_connection_options(directory)]),
        "ansible_python_interpreter": "/usr/bin/python3",
        **variables,
    }.items():
        lines.append(f"    {name}: {json.dumps(value)}")
    lines.append("  hosts:")
    for host in hosts:
        lines.append(f"    {host.name}:")
        lines += [f"      {name}: {json.dumps(value)}" for name, value in host.variables.items()]
    names = sorted({group for host in hosts for group in host.groups if group != "all"})
    if names:
        lines.append("  children:")
    for group in names:
        members = [f"        {host.name}: {{}}" for host in hosts if group in host.groups]
        lines += [f"    {group}:", "      hosts:", *members]
    path = directory / "inventory.yml"
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text() != text:
        write(path, text, 0o600)
    return path


def _connection_options(directory: Path) -> list[str]:
    known = directory / "known_hosts"
    options = ["StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null"]
    # OpenSSH's own choice withstands quantum computers and costs 0.15 s of CPU a connection, of which a story makes thousands.
    options.append("KexAlgorithms=curve25519-sha256")
    return [word for option in options for word in ("-o", option)]
