"""Imports point inwards, and one file touches AEAD: read from the source, so that nothing has to be run for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "ssod"
PLUGINS = Path(__file__).parents[2] / "plugins"

# What each part may import of ours, besides itself. `config` is the type of the configuration file.
INWARDS = {
    "errors": set(),
    "core": {"errors"},
    "age_process": {"core", "errors"},
    "recovery_process": {"errors", "service", "storage"},
    "audit_files": {"core"},
    "client": set(),
    "config": {"core", "errors"},
    "seal": {"core", "errors"},
    "storage": {"core", "errors"},
    "service": {"core", "errors", "seal", "storage", "age_process"},
    "transport": {"core", "errors", "config", "service", "storage"},
    "runtime": {"core", "errors", "audit_files", "service", "storage"},
}
WIRING = {"runtime/main.py", "runtime/use_cases.py", "runtime/hook.py"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside of functions, and `module.name` for what it takes from one."""
    package = ("ssod", *path.relative_to(SOURCE).parts[:-1]) if path.is_relative_to(SOURCE) else ()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def part(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def ours(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("ssod.")} - {"__version__", part(path)}


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if part(path) in INWARDS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_what_lies_further_in(path: Path) -> None:
    """Its part of ssod may import just these other parts; only the wiring places import them all."""
    if str(path.relative_to(SOURCE)) not in WIRING:
        assert ours(path) <= INWARDS[part(path)]


def test_every_part_is_known_here() -> None:
    """A new part of ssod says what it may import."""
    assert {part(path) for path in SOURCE.rglob("*.py")} == {*INWARDS, "cli", "__init__"}


def test_core_knows_no_socket_file_clock_or_thread() -> None:
    """The pure part imports nothing that could reach outside."""
    outside = {"asyncio", "datetime.datetime.now", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "ssl"}
    outside |= {"subprocess", "tempfile", "threading", "time", "sqlalchemy", "httpcore", "uvicorn"}
    for path in (SOURCE / "core").rglob("*.py"):
        assert {name.split(".")[0] for name in imports(path)}.isdisjoint(outside), path


def test_one_file_touches_aead() -> None:
    """Ciphers are imported in core/aead.py and nowhere else."""
    touching = [path for path in SOURCE.rglob("*.py") if any("primitives.ciphers" in name for name in imports(path))]
    assert touching == [SOURCE / "core" / "aead.py"]


def test_one_file_knows_the_tokens() -> None:
    """python-pkcs11 is imported in one file, and that one only by the function that a token needs."""
    assert [path.name for path in SOURCE.rglob("*.py") if "pkcs11" in imports(path)] == ["pkcs11_token.py"]
    users = [path for path in SOURCE.rglob("*.py") if "ssod.seal.pkcs11_token" in imports(path)]
    assert [path.name for path in users] == ["provider.py"]
    at_once = ast.parse(users[0].read_text("utf-8")).body
    assert not [node for node in at_once if isinstance(node, ast.ImportFrom) and node.module == "ssod.seal.pkcs11_token"]


def test_only_seal_and_core_use_the_one_aead() -> None:
    """What encrypts does it through the keyring or the sealed copy."""
    users = {part(path) for path in SOURCE.rglob("*.py") if "ssod.core.aead" in imports(path)}
    assert users == {"core", "seal"}


def test_plugins_never_import_the_daemon() -> None:
    """A managed host needs no ssod package for Ansible's modules."""
    files = sorted(PLUGINS.rglob("*.py"))
    assert files
    assert [path for path in files if any(name.split(".")[0] == "ssod" for name in imports(path))] == []


def test_cli_asks_the_daemon_and_does_not_open_it() -> None:
    """ssoctl is a client: of the daemon's inside it takes no service, transport, seal or keyring."""
    for path in (SOURCE / "cli").rglob("*.py"):
        assert ours(path) <= {"core", "errors", "config", "audit_files", "storage"}, path
        assert "ssod.core.keyring" not in imports(path)
