# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""Puts bytes on the managed host's disk so that at every moment either the old file or the whole new one is there.

It knows nothing about what it writes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.sso.plugins.module_utils._ssod import SsodError


def read_bytes(path: str) -> bytes | None:
    """What is on disk at path, or None when there is nothing."""
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, "read", error) from error


def sha256_of(content: bytes | None) -> str | None:
    """The fingerprint of a file's content in hex, or None for no file."""
    return None if content is None else hashlib.sha256(content).hexdigest()


class Draft:
    """A file beside its destination, private to its owner until it is published."""

    def __init__(self, path: str, destination: str) -> None:
        self.path = path
        self._destination = destination

    def write(self, content: bytes) -> None:
        """Writes to the disk, not only to the page cache: what is read back afterwards is meant to last."""
        try:
            with open(self.path, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise _unusable(self._destination, "written", error) from error

    def publish(self) -> None:
        """Takes the place of the destination in one step."""
        try:
            os.replace(self.path, self._destination)
            _sync_directory(os.path.dirname(self._destination))
        except OSError as error:
            raise _unusable(self._destination, "replaced", error) from error


@contextlib.contextmanager
def draft_of(destination: str) -> t.Iterator[Draft]:
    """A draft in the destination's own directory (a move across file systems is not one step); gone if not published."""
    directory = os.path.dirname(destination)
    try:
        # mkstemp makes it 0600 before a byte is in it.
        descriptor, path = tempfile.mkstemp(prefix="." + os.path.basename(destination) + ".", dir=directory)
    except OSError as error:
        raise _unusable(destination, "written", error) from error
    os.close(descriptor)
    try:
        yield Draft(path, destination)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def own_as(module: AnsibleModule, path: str, mode: str) -> bool:
    """Gives a file the mode, and the owner and group of the options; tells whether that is, or would be, a change."""
    changed = module.set_mode_if_different(path, mode, False)
    changed = module.set_owner_if_different(path, module.params["owner"], changed)
    return module.set_group_if_different(path, module.params["group"], changed)


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: str, act: str, error: OSError) -> SsodError:
    return SsodError(
        "file-unusable",
        f"{path} cannot be {act}: {os.strerror(error.errno) if error.errno else error}",
        f"check that {os.path.dirname(path)} exists and that the user of this task may write there",
    )
