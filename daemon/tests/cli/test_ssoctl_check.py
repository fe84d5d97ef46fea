"""`ssoctl check` reads a configuration as the daemon does and tells every problem."""

from __future__ import annotations

from pathlib import Path

import pytest
from ssoctl_harness import Ssoctl

CANARY = "canary-11aa-password"
GOOD = """
[server]
name = "m1"
address = "m1.example:7443"
[database]
url = "sqlite:////{database}"
[access]
sso_administrators = ["group:sso-admins"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ssod.toml"
    path.write_text(GOOD.format(database=tmp_path / "sso.db").replace("sqlite://///", "sqlite:////"))
    return path


def test_a_good_file_is_exit_code_0(ssoctl: Ssoctl, file: Path) -> None:
    finished = ssoctl("check", file)
    assert (finished.code, finished.out, finished.err) == (0, f"{file} is valid\n", "")


def test_every_problem_is_told_and_no_secret(ssoctl: Ssoctl, file: Path) -> None:
    text = file.read_text().replace("group:sso-admins", "sso-admins")
    text = text.replace("sqlite://", f"postgresql+psycopg://ssod:{CANARY}@db/")
    file.write_text(text)
    finished = ssoctl("check", file)
    assert finished.code == 2
    assert finished.err.count("\n  - ") == 3
    assert all(word in finished.err for word in ("sslmode=verify-full", "holds a password", "access.sso_administrators"))
    assert CANARY not in finished.err + finished.out


@pytest.mark.parametrize("text", ["", "[server", "unknown = 1", '[server]\nname = 3\n[database]\nurl = ""'])
def test_what_is_no_configuration_is_exit_code_2(ssoctl: Ssoctl, file: Path, text: str) -> None:
    file.write_text(text)
    finished = ssoctl("check", file)
    assert finished.code == 2
    assert "\n  - " in finished.err


def test_a_file_that_is_absent_is_exit_code_2(ssoctl: Ssoctl, tmp_path: Path) -> None:
    finished = ssoctl("check", tmp_path / "absent")
    assert finished.code == 2
    assert "absent" in finished.err


@pytest.mark.parametrize("right", ["m1", "m1.example:7443"])
def test_a_line_end_after_a_name_is_a_problem(ssoctl: Ssoctl, file: Path, right: str) -> None:
    """A name that ends with one is another name, and looks the same."""
    file.write_text(file.read_text().replace(f'"{right}"', f'"{right}\\n"'))
    assert ssoctl("check", file).code == 2


EVENTS = """
[events]
webhook = "https://pager.example.com:8443/holdfast?team=sso"
webhook_ca = "/etc/ssl/pager.pem"
program = "/usr/local/sbin/tell"
environment = "prod"
runbooks = "https://wiki.example.com/runbooks"
master_lost_after = 20
certificate_days = 30
secret_days = 180
"""


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("", "", None),
        (
            "https://pager.example.com:8443/holdfast?team=sso",
            "http://[::1]:9093/",
            "events.webhook_ca: it is for a webhook at https",
        ),
        ("https://pager", "ftp://pager", "events.webhook: write https://HOST/"),
        ("https://pager.example.com:8443", "https://", "events.webhook: write https://HOST/"),
        (":8443", ":99999", "events.webhook: write https://HOST/"),
        ("team=sso", "team=s o", "events.webhook: write https://HOST/"),
        ("https://pager", f"https://user:{CANARY}@pager", "events.webhook: it holds a password"),
        ("/usr/local/sbin/tell", "tell", "events.program: 'tell' is not an absolute path"),
        ("/etc/ssl/pager.pem", "pager.pem", "events.webhook_ca: 'pager.pem' is not an absolute path"),
        ("= 20", "= 5", "master_lost_after"),
        ("prod", "a\\nb", "environment"),
    ],
)
def test_whom_events_are_told_to(ssoctl: Ssoctl, file: Path, right: str, wrong: str, says: str | None) -> None:
    file.write_text(file.read_text() + EVENTS.replace(right, wrong, 1))
    finished = ssoctl("check", file)
    assert (finished.code, says is None or says in finished.err) == (0 if says is None else 2, True), finished.err
    assert CANARY not in finished.err


@pytest.mark.parametrize("listen", ["", "127.0.0.1:7480", "127.1.2.3:1", "[::1]:7480"])
def test_the_status_page_may_be_served_to_this_host(ssoctl: Ssoctl, file: Path, listen: str) -> None:
    file.write_text(f'{file.read_text()}[page]\nlisten = "{listen}"\n')
    assert ssoctl("check", file).code == 0


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:7480", "10.0.0.1:7480", "[::]:7480", "[::ffff:127.0.0.1]:1", "localhost:7480", "127.0.0.1"]
)
def test_the_status_page_is_plain_http_and_leaves_no_host(ssoctl: Ssoctl, file: Path, listen: str) -> None:
    """Of a name, `localhost` too, some file or server says which address it is."""
    file.write_text(f'{file.read_text()}[page]\nlisten = "{listen}"\n')
    finished = ssoctl("check", file)
    assert finished.code == 2
    assert "page" in finished.err
