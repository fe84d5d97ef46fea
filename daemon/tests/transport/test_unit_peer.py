"""Who asks at the credentials socket: the address that systemd binds, and the control group that the kernel names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssod.errors import Malformed
from ssod.transport.unit_peer import Asked, asked_in, unit_in


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (b"\0a1b2c3d4e5f60718/unit/job.service/password", Asked("job.service", "password")),
        (b"\x000/unit/job@x.service/a.b-c_d", Asked("job@x.service", "a.b-c_d")),
        (rb"%c1/unit/a\x2db.service/p" % 0, Asked(r"a\x2db.service", "p")),
    ],
)
def test_systemd_s_address_names_unit_and_credential(address: bytes, asked: Asked) -> None:
    """As systemd 252 and 257 write it."""
    assert asked_in(address) == asked


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/run/client.sock",
        b"",
        b"\0",
        b"1/unit/job.service/password",
        b"\0/unit/job.service/password",
        b"\0g/unit/job.service/password",
        b"\0A/unit/job.service/password",
        b"\x0011111111111111111/unit/job.service/password",
        b"\x001/user/job.service/password",
        b"\x001/unit/job.service",
        b"\x001/unit/job.service/",
        b"\x001/unit//password",
        b"\x001/unit/job.service/a/b",
        b"\x001/unit/job.service/pass word",
        b"\x001/unit/job.service/password\n",
        b"\x001/unit/job.service/password\0",
        b"\x001/unit/job\xc3\xa4.service/password",
    ],
)
def test_every_other_address_is_refused(address: bytes | str) -> None:
    """Nothing in it is taken for a name."""
    with pytest.raises(Malformed):
        asked_in(address)


@given(st.binary(max_size=108) | st.text(max_size=108))
def test_whatever_an_address_holds_it_is_names_or_a_refusal(address: bytes | str) -> None:
    """No other error, and no name with a slash or a control character."""
    try:
        asked = asked_in(address)
    except Malformed:
        return
    assert all(name.isascii() and name.isprintable() and "/" not in name for name in asked)


@pytest.mark.parametrize(
    ("control_groups", "unit"),
    [
        ("0::/system.slice/job.service\n", "job.service"),
        ("0::/foo.slice/foo-bar.slice/job@x.service\n", "job@x.service"),
        ("0::/system.slice/job.service/.control\n", "job.service"),
        ("0::/system.slice/_cpu.service\n", "cpu.service"),
        ("9:name=systemd:/system.slice/job.service\n8:pids:/\n1:cpu:/\n", "job.service"),
        ("9:name=systemd:/system.slice/job.service\n0::/system.slice/job.service\n", "job.service"),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/job.service\n", "user@0.service"),
        ("0::/user.slice/user-0.slice/session-1.scope\n", "session-1.scope"),
        ("0::/init.scope\n", "init.scope"),
        ("0::/\n", None),
        ("0::/system.slice\n", None),
        ("8:pids:/system.slice/job.service\n", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_control_group_says_which_unit_a_process_belongs_to(control_groups: str, unit: str | None) -> None:
    """With both versions of control groups, and with both at once; a unit of a user's own manager is that manager."""
    assert unit_in(control_groups) == unit


@given(st.text())
def test_whatever_a_control_group_is_called_it_is_read(text: str) -> None:
    """A unit, or none."""
    assert unit_in(text) is None or unit_in(text)
