"""`ssoctl encrypt` and `decrypt` pass one value through, byte for byte."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from fake_ssod import FakeSsod, Reply, Request, ok, problem
from ssoctl_harness import Ssoctl

VALUES = [b"", b"word", b"line\n", b"\r\n\x00\xff\xfe", bytes(range(256)) * 400]


@pytest.fixture
def reversing(fake: FakeSsod) -> FakeSsod:
    """Its ciphertext is the plaintext backwards: enough to see that every byte arrived."""

    def encrypt(request: Request) -> Reply:
        plaintext = base64.b64decode(request.body["plaintext"], validate=True)
        return ok({"ciphertext": "hf1." + base64.urlsafe_b64encode(plaintext[::-1]).decode()})

    def decrypt(request: Request) -> Reply:
        ciphertext = request.body["ciphertext"]
        if not ciphertext.startswith("hf1.") or request.body["context"] != "users/7":
            return problem(422, "ciphertext-rejected")
        plaintext = base64.urlsafe_b64decode(ciphertext[4:])[::-1]
        return ok({"plaintext": base64.b64encode(plaintext).decode()})

    fake.answers |= {"POST /v1/encrypt": encrypt, "POST /v1/decrypt": decrypt}
    return fake


@pytest.mark.parametrize("value", VALUES)
def test_every_byte_comes_back(reversing: FakeSsod, ssoctl: Ssoctl, value: bytes) -> None:
    encrypted = ssoctl("encrypt", "billing", "users/7", stdin=value)
    assert encrypted.code == 0
    assert encrypted.out.startswith("hf1.") and encrypted.out.count("\n") == 1
    assert ssoctl("decrypt", "billing", "users/7", stdin=encrypted.raw).raw == value


def test_the_value_can_come_from_a_file(reversing: FakeSsod, ssoctl: Ssoctl, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_bytes(b"\x00value\n")
    encrypted = ssoctl("encrypt", "billing", "users/7", "--file", file)
    file.write_bytes(encrypted.raw)
    assert ssoctl("decrypt", "billing", "users/7", "--file", file).raw == b"\x00value\n"


def test_another_context_does_not_open(reversing: FakeSsod, ssoctl: Ssoctl) -> None:
    encrypted = ssoctl("encrypt", "billing", "users/7", stdin=b"x")
    finished = ssoctl("decrypt", "billing", "users/8", stdin=encrypted.raw)
    assert (finished.code, finished.raw) == (1, b"")


def test_what_cannot_be_a_ciphertext_is_not_sent(reversing: FakeSsod, ssoctl: Ssoctl) -> None:
    assert ssoctl("decrypt", "billing", "users/7", stdin=b"\xff").code == 2
    assert reversing.requests == []


def test_a_detached_server_refuses_to_encrypt_with_exit_code_5(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/encrypt"] = problem(503, "master-lost")
    finished = ssoctl("encrypt", "billing", "users/7", stdin=b"x")
    assert (finished.code, finished.raw) == (5, b"")


def test_an_answer_that_is_no_base64_is_not_passed_on(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers["POST /v1/decrypt"] = {"plaintext": "*"}
    finished = ssoctl("decrypt", "billing", "users/7", stdin=b"hf1.x")
    assert (finished.code, finished.raw) == (6, b"")
