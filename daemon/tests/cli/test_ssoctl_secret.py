"""`ssoctl secret generate` and `show` speak of key ids."""

from __future__ import annotations

import json

from fake_ssod import FakeSsod, problem
from ssoctl_harness import ENVIRONMENT, KEY, OLD_KEY, Ssoctl

SECRET = {
    "environment_id": ENVIRONMENT,
    "current_key_id": KEY,
    "epoch": 3,
    "generated_at": "2026-11-23T10:00:00Z",
    "keys": [
        {"key_id": KEY, "created_at": "2026-11-23T10:00:00Z", "state": "current"},
        {"key_id": OLD_KEY, "created_at": "2025-11-23T10:00:00Z", "retired_at": "2026-11-23T10:00:00Z", "state": "retired"},
    ],
    "held_key_ids": [KEY],
    "sealed_key_id": OLD_KEY,
    "backup": {
        "key_id": KEY,
        "verified_at": "2026-11-23T11:00:00Z",
        "place": "m1:/b",
        "sha256": "00",
        "protection": "passphrase",
    },
}


def test_show_tells_which_keys_are_held_here(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["GET /v1/secret"] = SECRET
    lines = ssoctl("secret", "show").out.splitlines()
    assert next(line for line in lines if line.startswith(KEY)).split()[1:] == ["current", "2026-11-23T10:00:00Z", "-", "yes"]
    retired = next(line for line in lines if line.startswith(OLD_KEY)).split()
    assert retired[1:] == ["retired", "2025-11-23T10:00:00Z", "2026-11-23T10:00:00Z", "no"]
    assert any("current, verified 2026-11-23T11:00:00Z at m1:/b" in line for line in lines)
    assert json.loads(ssoctl("secret", "show", "--json").out) == SECRET


def test_show_before_there_is_a_secret(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    empty: dict[str, object] = {
        "current_key_id": None,
        "generated_at": None,
        "keys": [],
        "held_key_ids": [],
        "sealed_key_id": None,
        "backup": None,
    }
    fake.answers["GET /v1/secret"] = SECRET | empty
    out = ssoctl("secret", "show").out
    assert "none: not generated yet" in out and "NONE VERIFIED" in out


def test_generate_says_that_a_backup_comes_next(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/secret/generate"] = SECRET | {"backup": None}
    finished = ssoctl("secret", "generate")
    assert finished.code == 0
    assert KEY in finished.out and "ssoctl secret backup" in finished.out
    assert fake.requests[0].body == {}
    assert json.loads(ssoctl("secret", "generate", "--json").out)["current_key_id"] == KEY


def test_a_second_secret_is_refused_with_exit_code_1(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/secret/generate"] = problem(409, "secret-exists")
    assert ssoctl("secret", "generate").code == 1
