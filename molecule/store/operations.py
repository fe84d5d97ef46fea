"""One question for each act that roles allow or refuse, and the table that says which: docs/access.md as it is written.

Asked by somebody who may, none of them changes anything.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "access.md"
# Who has which role: the same name is that of a Unix user hf-NAME, of a group, and of a certificate.
PEOPLE = {
    "SSO Administrator": "adam",
    "SSO Affiliate Administrator": "affi",
    "Application Administrator": "anna",
    "Application User": "alice",
    "SSO Auditor": "audi",
}
STRANGER = "mallory"

Question = tuple[str, str, Any]


def allowed() -> dict[str, set[str]]:
    """Who may do each act, by name."""
    lines = iter(DOCUMENT.read_text(encoding="utf-8").splitlines())
    header = next(cells for line in lines if (cells := _cells(line))[:1] == ["act"])
    next(lines)
    table = {}
    for line in lines:
        act, *rights = _cells(line) or [""]
        if not act:
            break
        table[act] = {PEOPLE[role] for role, right in zip(header[1:], rights, strict=True) if right == "yes"}
    return table


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []


def questions(files: dict[str, Any], ciphertext: str) -> dict[str, Question]:
    """By act. `files` is that application as it is, `ciphertext` one of its own values in the context `c`."""
    value = {"application": "files", "context": "c"}
    unchanged = {name: files[name] for name in files if name not in {"name", "version"}}
    return {
        "encrypt": ("POST", "/v1/encrypt", value | {"plaintext": base64.b64encode(b"v").decode()}),
        "decrypt": ("POST", "/v1/decrypt", value | {"ciphertext": ciphertext}),
        "list configuration": ("GET", "/v1/applications/files/config", None),
        "read configuration": ("GET", "/v1/applications/files/config/transfer", None),
        "reveal configuration": ("GET", "/v1/applications/files/config/transfer?reveal=true", None),
        "change configuration": ("DELETE", "/v1/applications/files/config/transfer?dry_run=true", None),
        "read application": ("GET", "/v1/applications/files", None),
        "change application": ("PUT", "/v1/applications/files?dry_run=true", unchanged | {"contact": "another"}),
        "change application users": ("PUT", "/v1/applications/files?dry_run=true", unchanged | {"users": ["group:others"]}),
        "list mappings": ("GET", "/v1/applications/bank/mappings", None),
        "read mapping": ("GET", "/v1/applications/bank/mappings/user:hf-alice", None),
        "manage mappings": ("DELETE", "/v1/applications/bank/mappings/user:hf-alice?dry_run=true", None),
        "manage own mapping": ("GET", "/v1/applications/bank/mapping", None),
        "look up own credentials": ("GET", "/v1/applications/bank/credentials", None),
        "issue ticket": ("POST", "/v1/applications/bank/tickets", {}),
        "redeem ticket": ("POST", "/v1/applications/bank/tickets/redeem", {"ticket": "hft1.none", "sender": "user:hf-alice"}),
        "manage unit credentials": (
            "DELETE",
            "/v1/applications/files/unit-credentials/transfer.service/sftp-password?dry_run=true",
            None,
        ),
        "read roles": ("GET", "/v1/roles", None),
        "manage roles": ("PUT", "/v1/roles/sso_auditor?dry_run=true", {"members": ["group:others"]}),
        "enable SSO": ("PUT", "/v1/sso", {"enabled": True}),
        "read audit": ("GET", "/v1/audit/head", None),
        "export store": ("GET", "/v1/export", None),
        "import store": ("POST", "/v1/import?dry_run=true", {"format": "holdfast store 1"}),
        "manage secret": ("GET", "/v1/secret", None),
        "manage master": ("POST", "/v1/master/deactivate", {"dry_run": True}),
        "manage servers": ("GET", "/v1/servers", None),
    }
