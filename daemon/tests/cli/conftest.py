"""A fake ssod, and `ssoctl` to run against it, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, running
from ssoctl_harness import Ssoctl


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeSsod]:
    with running(tmp_path / "s") as fake:
        yield fake


@pytest.fixture
def ssoctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssoctl:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("SSOD_SOCKET", raising=False)
    return Ssoctl(tmp_path / "s", monkeypatch)
