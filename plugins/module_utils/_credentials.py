# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""Reads a passphrase or an identity on the managed host, and refuses a file that others can read.

What it reads is added to the values that Ansible masks, and goes nowhere but into the body of a call.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import SsoModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError

# Far above any passphrase or age identity file; a path given by mistake is noticed before it is sent.
LARGEST_CREDENTIAL = 64 * 1024

PASSPHRASE_SPEC: dict[str, dict[str, t.Any]] = {
    "passphrase": {"type": "str", "no_log": True},
    # The path of a credential is no secret, and an error has to be able to name it.
    "passphrase_file": {"type": "path", "no_log": False},
}


def opening_credential(module: SsoModule) -> dict[str, str | list[str]]:
    """The member of a request body that opens a backup: passphrase, identity or shares, or nothing for recipients."""
    if module.params.get("passphrase") is not None:
        return {"passphrase": _masked(module, module.params["passphrase"], "the option passphrase")}
    if module.params.get("passphrase_file") is not None:
        path = module.params["passphrase_file"]
        return {"passphrase": _masked(module, read_credential(path), path)}
    if module.params.get("identity_file") is not None:
        path = module.params["identity_file"]
        return {"identity": _masked(module, only_identity(read_credential(path), path), path)}
    if module.params.get("share_files") is not None:
        return {"shares": [_masked(module, read_credential(path), path) for path in module.params["share_files"]]}
    return {}


def only_identity(text: str, path: str) -> str:
    """The one identity of a file as age-keygen writes it: comments around it are left out."""
    lines = [line.strip() for line in text.splitlines()]
    identities = [line for line in lines if line and not line.startswith("#")]
    if len(identities) > 1:
        raise _unusable(path, f"it holds {len(identities)} identities", "name a file with one of them")
    return "".join(identities)


def read_credential(path: str) -> str:
    """The text of a private file, without one trailing newline."""
    try:
        # Opened first and looked at afterwards, so that what is checked is what is read. Not blocking on a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        next_step = "put it on the managed host, owned by the user of this task"
        raise _unusable(path, os.strerror(error.errno or 0), next_step) from error
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _unusable(path, "it is not a regular file", "name a file that holds the credential alone")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = format(stat.S_IMODE(found.st_mode), "04o")
            raise _unusable(path, f"others than its owner can use it (mode {mode})", f"chmod 0600 {path}")
        if found.st_size > LARGEST_CREDENTIAL:
            raise _unusable(path, f"{found.st_size} bytes are too many for a credential", "check the path")
        content = stream.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        # Without its cause: that error carries the bytes.
        raise _unusable(path, "it is not UTF-8 text", "check the path") from None
    return text[:-1] if text.endswith("\n") else text


def _masked(module: SsoModule, credential: str, source: str) -> str:
    if not credential.strip():
        raise SsodError("invalid-value", f"the credential in {source} is empty", "put it there, or name another")
    module.no_log_values.add(credential)
    return credential


def _unusable(path: str, why: str, next_step: str) -> SsodError:
    return SsodError("credential-unusable", f"the credential file {path} is not usable: {why}", next_step)
