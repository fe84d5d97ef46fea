"""Files for one program that are in memory only and in nobody else's directory tree.

They are in a ramfs (which is never swapped to a disk) that is mounted nowhere: it exists for as long as a process holds a
descriptor of it. The kernel lets root make one, and everybody else inside of a user namespace, where only a helper ever is.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from ssod.cli.errors import UsageRefused

_libc = ctypes.CDLL(None, use_errno=True)

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
# The same on every architecture that Debian has.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CLOSE_ON_EXEC = 1
_SET_STRING, _CREATE = 1, 6
_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8


def make_directory(files: Mapping[str, bytes]) -> int:
    """A descriptor of a directory with these files, which a program that is executed inherits. Raises UsageRefused."""
    try:
        directory = _empty_directory()
        for name, content in files.items():
            with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400, dir_fd=directory), "wb") as file:
                file.write(content)
        os.chmod(f"/proc/self/fd/{directory}", 0o500)
    except OSError as error:
        raise UsageRefused(
            f"this host lets you make no files in memory: {error.strerror}",
            next_step="leave out --files: values as variables need nothing of the host",
        ) from None
    os.set_inheritable(directory, True)
    return directory


def _empty_directory() -> int:
    """Made by a helper process, since there is no way back out of a user namespace."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        helper = os.fork()
        if helper == 0:
            _help(theirs)
        theirs.close()
        try:
            message, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
        finally:
            os.waitpid(helper, 0)
    if not descriptors:
        number = int(message or b"0")
        raise OSError(number, os.strerror(number) if number else "the helper ended")
    return descriptors[0]


def _help(answer: socket.socket) -> NoReturn:
    try:
        try:
            directory = _mount()
        except PermissionError:
            _enter_namespaces()
            directory = _mount()
        socket.send_fds(answer, [b"0"], [directory])
    except OSError as error:
        with suppress(OSError):
            answer.send(b"%d" % (error.errno or 0))
    finally:
        os._exit(0)


def _enter_namespaces() -> None:
    """New ones, in which this user is itself and may mount."""
    user, group = os.geteuid(), os.getegid()
    _checked(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _mount() -> int:
    system = _checked(_libc.syscall(_FSOPEN, b"ramfs", _CLOSE_ON_EXEC))
    _checked(_libc.syscall(_FSCONFIG, system, _SET_STRING, b"mode", b"0700", 0))
    _checked(_libc.syscall(_FSCONFIG, system, _CREATE, None, None, 0))
    return _checked(_libc.syscall(_FSMOUNT, system, _CLOSE_ON_EXEC, _NOSUID_NODEV_NOEXEC))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
