"""The network of one environment: a free /24, a bridge, the way out, and the ports of its machines."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable
from pathlib import Path

from .errors import SetupError
from .system import run

Network = ipaddress.IPv4Network


def free_number(taken: Iterable[int]) -> int:
    """The first N whose 10.77.N.0/24 neither another environment nor a route of this machine uses."""
    routes = [Network(row["dst"], strict=False) for row in _ip("-4", "route", "show", "table", "all") if _is_range(row)]
    addresses = {int(number) for number in taken}
    for number in range(1, 255):
        if number not in addresses and not any(network_of(number).overlaps(route) for route in routes):
            return number
    raise SetupError(
        "no free network in 10.77.1.0/24 to 10.77.254.0/24: a route of this machine covers them (ip route show), or "
        "254 environments exist (testhosts list); remove one with `testhosts down ENV`"
    )


def network_of(number: int) -> Network:
    """The address range of environment number N."""
    return Network(f"10.77.{number}.0/24")


def raise_bridge(bridge: str, number: int) -> bool:
    """Make the bridge and the way out, as far as they are missing; true when something was."""
    changed = False
    network = network_of(number)
    if not exists(bridge):
        # An address of its own: else it takes the lowest one of its ports, and when that host loses its power, all others have a stale
        # one of this machine for some seconds, just when they need its power switch.
        own = f"02:00:{network[1].packed.hex(':')}"
        run(["ip", "link", "add", bridge, "address", own, "type", "bridge"])
        changed = True
    address = f"{network[1]}/{network.prefixlen}"
    if address not in run(["ip", "-4", "-o", "address", "show", "dev", bridge]).stdout:
        run(["ip", "address", "add", address, "dev", bridge])
        changed = True
    run(["ip", "link", "set", bridge, "up"])
    # Left on by `down`: another environment, or another program, may have come to rely on it.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for table, chain, rule in _rules(bridge, network):
        if run(["iptables", "-w", "-t", table, "-C", chain, *rule], check=False).returncode != 0:
            run(["iptables", "-w", "-t", table, "-I", chain, *rule])
            changed = True
    return changed


def remove_bridge(bridge: str, number: int | None) -> None:
    """Delete what `raise_bridge` made, and every port that is still plugged in."""
    for row in _ip("link", "show", "master", bridge) if exists(bridge) else []:
        delete(row["ifname"])
    delete(bridge)
    if number is not None:
        for table, chain, rule in _rules(bridge, network_of(number)):
            while run(["iptables", "-w", "-t", table, "-D", chain, *rule], check=False).returncode == 0:
                pass


def exists(interface: str) -> bool:
    """Whether this machine has an interface of that name."""
    return Path("/sys/class/net", interface).exists()


def delete(interface: str) -> None:
    """Delete an interface, if it is there; it may vanish by itself meanwhile."""
    if exists(interface):
        run(["ip", "link", "delete", interface], check=False)


def bridge_of(interface: str) -> str | None:
    """The bridge that a port is plugged into."""
    master = Path("/sys/class/net", interface, "master")
    return Path(os.readlink(master)).name if master.is_symlink() else None


def plug(interface: str, bridge: str) -> None:
    """Put a port into the bridge."""
    run(["ip", "link", "set", interface, "master", bridge])


def unplug(interface: str) -> None:
    """Take a port out of the bridge; the host still sees a carrier, as behind a dead switch."""
    run(["ip", "link", "set", interface, "nomaster"])


def _rules(bridge: str, network: Network) -> list[tuple[str, str, list[str]]]:
    mark = ["-m", "comment", "--comment", f"holdfast-testhosts {bridge}"]
    return [
        ("nat", "POSTROUTING", ["-s", str(network), "!", "-d", str(network), *mark, "-j", "MASQUERADE"]),
        # A container engine on this machine sets the policy of FORWARD to DROP.
        ("filter", "FORWARD", ["-i", bridge, *mark, "-j", "ACCEPT"]),
        ("filter", "FORWARD", ["-o", bridge, *mark, "-j", "ACCEPT"]),
    ]


def _is_range(row: dict[str, str]) -> bool:
    return row.get("dst", "default")[0].isdigit()


def _ip(*arguments: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(run(["ip", "-json", *arguments]).stdout or "[]")
    return rows
