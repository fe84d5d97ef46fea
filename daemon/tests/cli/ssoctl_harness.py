"""Runs `ssoctl` against the fake ssod, in this process or in one of its own; and the documents of a healthy one."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import ssod
from ssod.cli.main import run

KEY = "a1" * 16
OLD_KEY = "b2" * 16
ENVIRONMENT = "6a5c1f3e-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str
    raw: bytes


@dataclass(frozen=True)
class Ssoctl:
    """Runs `ssoctl` with the socket of the fake; standard input is not a terminal."""

    socket: Path
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str | Path, stdin: bytes = b"") -> Finished:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with redirect_stdout(out), redirect_stderr(err):
            code = run(["--socket", str(self.socket), *map(str, arguments)])
        raw, errors = (stream.buffer.getvalue() for stream in (out, err))
        return Finished(int(code), raw.decode(errors="replace"), errors.decode(), raw)

    def command(self, *arguments: str | Path) -> list[str]:
        """The same as a command for a process of its own."""
        return [sys.executable, "-m", "ssod.cli", "--socket", str(self.socket), *map(str, arguments)]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(Path(ssod.__file__).parents[1]), "NO_COLOR": "1", "TERM": "dumb"}


def status_document(**server: object) -> dict[str, Any]:
    """What GET /v1/status answers on a standby that is well; `server` overrides its own members."""
    return {
        "server": {
            "name": "s1",
            "version": "0.1.0",
            "state": "attached",
            "since": "2026-11-23T10:00:00Z",
            "sentence": "attached: master m1, epoch 3",
            "key_id": KEY,
            "sealed_key_id": KEY,
            "epoch": 3,
            "master": "m1",
            "mastership": "passive",
            "managed_by": "operator",
            "mandate": True,
            "may_become_master": True,
            "unfit": [],
            "can_encrypt": True,
            "can_decrypt": True,
            "certificate_expires_at": "2027-11-23T10:00:00Z",
            "uptime_seconds": 12,
            **server,
        },
        "database": {"reachable": True, "kind": "postgresql", "detail": None},
        "environment": {
            "id": ENVIRONMENT,
            "master": "m1",
            "epoch": 3,
            "current_key_id": KEY,
            "backup_verified_at": "2026-11-23T10:00:00Z",
            "backup_place": "m1:/b",
        },
        "servers": [
            server_document("m1", key_id=KEY, sealed_key_id=KEY),
            server_document("s1", key_id=KEY, sealed_key_id=OLD_KEY),
            server_document("s2", may_become_master=False, attached=False),
        ],
    }


def server_document(name: str, **members: object) -> dict[str, Any]:
    return {
        "name": name,
        "address": f"{name}.example:7443",
        "may_become_master": True,
        "attached": True,
        "key_id": None,
        "sealed_key_id": None,
        "epoch": 3,
        "version": "0.1.0",
        "last_seen": "2026-11-23T10:00:00Z",
        **members,
    }


def master_document(**members: object) -> dict[str, Any]:
    return {
        "this_server": "m1",
        "master": "m1",
        "epoch": 3,
        "mastership": "active",
        "may_become_master": True,
        "sentence": "attached: this server is the master",
        **members,
    }
