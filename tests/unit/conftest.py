# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes `ansible_collections.holdfast.sso` importable from a checkout at any path, and gives every test a rig."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pathlib
import sys
import tempfile
import types
import typing as t

import pytest

NAME = "ansible_collections.holdfast.sso"
ROOT = pathlib.Path(__file__).resolve().parents[2]


def make_importable() -> None:
    """Three packages that exist in memory only, the last one with the checkout as its directory.

    ansible-test has the collection importable already. Elsewhere there is no directory above a checkout that is called
    ansible_collections/holdfast/sso, and none is needed: a package is a name and a list of directories.
    """
    with_parents = [".".join(NAME.split(".")[:depth]) for depth in (1, 2, 3)]
    try:
        if importlib.util.find_spec(NAME) is not None:
            return
    except ModuleNotFoundError:
        pass
    for name in with_parents:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
        package = sys.modules.setdefault(name, types.ModuleType(name))
        if not hasattr(package, "__path__"):
            package.__path__ = [str(ROOT)] if name == NAME else []
        parent, _unused, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, package)


make_importable()

from ansible_collections.holdfast.sso.tests.unit import fake_ssod
from ansible_collections.holdfast.sso.tests.unit import rig as rigs


@pytest.fixture
def rig() -> t.Iterator[rigs.Rig]:
    """Not below tmp_path: the path of a unix socket has at most 107 bytes."""
    ssod = fake_ssod.FakeSsod()
    with tempfile.TemporaryDirectory(prefix="hf-") as directory:
        path = f"{directory}/ssod.sock"
        with rigs.listening(ssod, path):
            running = rigs.Rig(ssod, path)
            yield running
        # Whatever a test was about: key bytes are in no module's output.
        assert fake_ssod.KEY_CANARY not in running.printed


@pytest.fixture
def ssod(rig: rigs.Rig) -> fake_ssod.FakeSsod:
    return rig.ssod
