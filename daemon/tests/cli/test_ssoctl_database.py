"""`ssoctl database migrate` brings a real SQLite file to the schema, and says whether it changed anything."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from ssoctl_harness import Ssoctl
from test_ssoctl_check import GOOD


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ssod.toml"
    path.write_text(GOOD.format(database=str(tmp_path / "sso.db").lstrip("/")))
    return path


def last_word(text: str) -> str:
    return text.rsplit(maxsplit=1)[-1].strip()


def test_check_then_change_then_nothing_more(ssoctl: Ssoctl, file: Path) -> None:
    words = []
    for option in (["--check"], [], [], ["--check"]):
        finished = ssoctl("database", "migrate", "--config", file, *option)
        assert finished.code == 0, finished.err
        words.append(last_word(finished.out))
    assert words == ["changed", "changed", "unchanged", "unchanged"]


def test_check_changes_nothing(ssoctl: Ssoctl, file: Path) -> None:
    for _ in range(2):
        assert last_word(ssoctl("database", "migrate", "--config", file, "--check").out) == "changed"


def test_a_refused_configuration_is_exit_code_2(ssoctl: Ssoctl, file: Path) -> None:
    file.write_text("")
    assert ssoctl("database", "migrate", "--config", file).code == 2


def test_a_database_that_cannot_be_opened_is_exit_code_5(ssoctl: Ssoctl, file: Path) -> None:
    file.write_text(GOOD.format(database="absent/sso.db"))
    finished = ssoctl("database", "migrate", "--config", file)
    assert finished.code == 5
    assert finished.err.startswith("ssoctl: the SSO database cannot be used: unable to open database file")
    assert finished.out == ""


def test_a_password_file_that_is_absent_is_exit_code_2(ssoctl: Ssoctl, file: Path, tmp_path: Path) -> None:
    file.write_text(file.read_text().replace("[access]", f'password_file = "{tmp_path}/absent"\n[access]'))
    assert ssoctl("database", "migrate", "--config", file).code == 2


def test_a_url_that_cannot_be_read_is_refused_without_being_quoted(ssoctl: Ssoctl, file: Path) -> None:
    url = "postgresql+psycopg://u@h:canary-port/x?sslmode=verify-full"
    file.write_text(GOOD.replace("sqlite:////{database}", url))
    finished = ssoctl("database", "migrate", "--config", file)
    assert finished.code == 2
    assert "canary" not in finished.err


def tell(path: Path, oldest: str) -> None:
    """Makes the database one of a later version, on which none works that is older than schema `oldest`."""
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.execute("UPDATE tolerance SET oldest = ?, version = '99.1'", (oldest,))
    connection.commit()
    connection.close()


def test_a_schema_of_a_later_version_is_left_alone(ssoctl: Ssoctl, file: Path, tmp_path: Path) -> None:
    """It is unchanged where it tolerates this version, and refused where it does not; so says the look before."""
    ssoctl("database", "migrate", "--config", file)
    for option in (["--check"], []):
        tell(tmp_path / "sso.db", "0002")
        finished = ssoctl("database", "migrate", "--config", file, *option)
        assert (finished.code, last_word(finished.out)) == (0, "unchanged")
        tell(tmp_path / "sso.db", "9999")
        finished = ssoctl("database", "migrate", "--config", file, *option)
        assert finished.code == 1
        assert "by ssod 99.1" in finished.err
        assert "install ssod 99.1" in finished.err
