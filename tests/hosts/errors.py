"""What can go wrong with test hosts: every message says what, which, and what to do next.

HostsError
├── UsageError       the caller asked for something that cannot be: exit code 2
├── SetupError       this machine lacks something: exit code 3
└── HostFailed       a host, an image or the network did not do what it must: exit code 1
"""

from __future__ import annotations


class HostsError(Exception):
    """The root of the tree; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(HostsError):
    """The request contradicts itself or the state of the environment."""

    exit_code = 2


class SetupError(HostsError):
    """This machine lacks a program, a right or a free address range."""

    exit_code = 3


class HostFailed(HostsError):
    """A host, an image or the network did not reach the state it was asked for."""
