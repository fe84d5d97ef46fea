"""Environments of real Debian machines for tests, booted by systemd-nspawn on this machine.

An *environment* is a named set of hosts on a network of its own. Everything of it lives in one directory
and carries one tag, so that it can be taken away after any half-done start.
"""

from __future__ import annotations
