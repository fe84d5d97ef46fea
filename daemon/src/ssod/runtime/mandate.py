"""The mandate to act as master: a file that the cluster makes and removes, where a cluster manages the mastership."""

from __future__ import annotations

import os


class OperatorMandate:
    """Operators activate and deactivate; nobody else is asked."""

    managed_by = "operator"

    def given(self) -> bool:
        return True

    def missing(self) -> str:
        return ""


class ClusterMandate:
    """The file lies where ssod cannot write, such as /run: only the cluster's agent, as root, makes it, and no reboot keeps it."""

    managed_by = "cluster"

    def __init__(self, path: str) -> None:
        self._path = path

    def given(self) -> bool:
        try:
            os.stat(self._path)
        except OSError:  # a file that cannot be looked at is no mandate either
            return False
        return True

    def missing(self) -> str:
        return f"mastership is managed by the cluster, which has not given it to this server ({self._path} is not there)"
