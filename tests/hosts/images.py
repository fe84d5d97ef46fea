"""The disk images that hosts start from: built once from a recipe, kept in a cache, never written to again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .machines import kill_machine
from .system import lock, mount_overlay, remove_tree, run, step

RELEASES = ("trixie", "bookworm")
BASE = (
    "systemd,systemd-sysv,dbus,python3,python3-apt,iproute2,sudo,ca-certificates,"
    "openssh-server,iputils-ping,procps,logrotate"
)
# The order is the order of stacking. A layer may need any that stands before it.
LAYERS: dict[str, tuple[str, ...]] = {
    "postgresql": ("postgresql", "python3-psycopg2"),
    # All that a cluster member needs, so that roles install nothing while a test runs. Only the one fence agent that
    # speaks with redfish.py: all of them bring 1.8 GB of cloud libraries in Debian 13. libxml2-utils is for ocf-tester.
    "pacemaker": (
        "pacemaker",
        "pacemaker-cli-utils",
        "corosync",
        "corosync-qdevice",
        "resource-agents",
        "resource-agents-paf",
        "fence-agents-redfish",
        "libxml2-utils",
    ),
    "quorum": ("corosync-qnetd",),
    "monitoring": ("prometheus", "prometheus-alertmanager"),
    # A TPM2 and a PKCS#11 token made of software, and what systemd needs to speak with such a TPM2.
    "tokens": ("swtpm", "swtpm-tools", "tpm2-tools", "softhsm2"),
}
# What a package of LAYERS is called in one release.
NAMES = {"bookworm": {"fence-agents-redfish": "fence-agents"}}

# Why each line: the network must be up without asking anyone; host keys are made per host, and sshd may offer only
# those that known_hosts holds; apt's timers would take the package lock in the middle of a test.
CUSTOMIZE = """set -eu
systemctl --root="$1" enable systemd-networkd.service
systemctl --root="$1" mask systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer
systemctl --root="$1" mask sshd-keygen.service
rm -f "$1"/etc/ssh/ssh_host_*
printf 'HostKey /etc/ssh/ssh_host_ed25519_key\\nUseDNS no\\n' > "$1/etc/ssh/sshd_config.d/testhosts.conf"
rm -f "$1/etc/machine-id" "$1/etc/resolv.conf"
"""
INSTALL = """set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "$@"
apt-get clean
rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/*
"""


def cache_directory() -> Path:
    """Where images are kept between runs."""
    return Path(os.environ.get("HOLDFAST_TESTHOSTS_CACHE", "/var/cache/holdfast-testhosts"))


def image_paths(release: str, layers: tuple[str, ...]) -> list[Path]:
    """The directories of an image, uppermost first; each name carries a hash of all that it is made from."""
    key = _digest(release, BASE, CUSTOMIZE)
    paths = [cache_directory() / f"{release}-{key}"]
    for layer in (name for name in LAYERS if name in layers):
        key = _digest(key, INSTALL, *_packages(release, layer))
        paths.insert(0, cache_directory() / f"{release}+{layer}-{key}")
    return paths


def build_image(release: str, layers: tuple[str, ...]) -> list[Path]:
    """Build what is missing of an image and return its directories, uppermost first."""
    paths = image_paths(release, layers)
    names = ["", *(name for name in LAYERS if name in layers)]
    for depth, (path, layer) in enumerate(zip(reversed(paths), names, strict=True)):
        if path.is_dir():
            continue
        with lock(f"image-{path.name}", f"it builds the image {path.name}"):
            if path.is_dir():
                continue
            # What a killed build left behind is ours: we hold the lock of this image.
            temporary = path.with_name(f"tmp-{path.name}")
            clear(temporary)
            temporary.mkdir(parents=True, mode=0o755)
            try:
                what = f"image {release}" + (f", layer {layer}" if layer else "")
                with step(f"{what}: building"):
                    if layer:
                        built = _build_layer(temporary, paths[len(paths) - depth :], _packages(release, layer))
                    else:
                        built = _build_base(temporary, release)
                    built.rename(path)
            finally:
                clear(temporary)
    return paths


def clear(temporary: Path) -> None:
    """Remove a half-done build with all that runs or is mounted in it."""
    kill_machine(temporary / "root")
    remove_tree(temporary)


def _packages(release: str, layer: str) -> list[str]:
    return [NAMES.get(release, {}).get(package, package) for package in LAYERS[layer]]


def _build_base(temporary: Path, release: str) -> Path:
    tree = temporary / "tree"
    mirror = os.environ.get("HOLDFAST_TESTHOSTS_MIRROR")
    run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={BASE}", f"--customize-hook={CUSTOMIZE}", release]
        + [str(tree)]
        + ([mirror] if mirror else []),
    )
    return tree


def _build_layer(temporary: Path, below: list[Path], packages: list[str]) -> Path:
    root, upper = temporary / "root", temporary / "upper"
    mount_overlay(root, below, upper, temporary / "work")
    nspawn = ["systemd-nspawn", "--quiet", "-D", str(root), "--register=no", "--keep-unit", "--resolv-conf=bind-host"]
    nspawn += ["--pipe", "--as-pid2", "-M", f"hf-build-{os.getpid()}"]
    run([*nspawn, "/bin/sh", "-c", INSTALL, "sh", *packages])
    remove_tree(root)
    (upper / "etc/resolv.conf").unlink(missing_ok=True)
    return upper


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]
