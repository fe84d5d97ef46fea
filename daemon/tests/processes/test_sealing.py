"""The sealing is changed by a restart, to a token too; a plain server with a cache outlives its master: real processes, SoftHSM."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Fleet, Server
from softhsm import MODULE, PIN, SoftHsm
from waiting import wait_for

EMPTY = {"application": "app", "context": "context", "plaintext": ""}
TPM = 'provider = "systemd-creds"\ncredential = "sealing-key-tpm2"'


@pytest.fixture
def hsm(tmp_path: Path) -> SoftHsm:
    made = SoftHsm(tmp_path)
    made.make("holdfast")
    return made


def give(server: Server, **credentials: bytes) -> None:
    """What systemd puts into the directory of a service's credentials, `_` standing for `-`."""
    directory = server.root / "credentials"
    directory.mkdir(exist_ok=True)
    for name, content in credentials.items():
        (directory / name.replace("_", "-")).write_bytes(content)
    server.environment["CREDENTIALS_DIRECTORY"] = str(directory)


def on_token(server: Server, hsm: SoftHsm, label: str = "holdfast") -> None:
    """Configured to be sealed by the token, and given its PIN."""
    token = hsm.describe(server.root / "token.toml", label, f"holdfast {server.name}")
    server.configure("sealing", f'provider = "pkcs11"\ntoken = "{token}"')
    server.environment |= hsm.environment
    if (
        "CREDENTIALS_DIRECTORY" not in server.environment
        or not Path(server.environment["CREDENTIALS_DIRECTORY"], "sealing-pin").exists()
    ):
        give(server, sealing_pin=PIN.encode() + b"\n")


def restart(server: Server) -> dict[str, object]:
    """Its sealing, after a start in which it has reached nobody else."""
    server.stop()
    server.start()
    sealing: dict[str, object] = server.status()["sealing"]
    return sealing


def state_of(server: Server) -> tuple[object, object]:
    sealing = server.status()["sealing"]
    return sealing["key"], sealing["sealed_under"]


def test_the_master_s_sealing_is_changed_by_restarts(fleet: Callable[..., Fleet], hsm: SoftHsm) -> None:
    """From a file to a credential, to a token, and back: each start opens what the last one sealed, the old key gone after each."""
    (m1,) = fleet("m1").servers
    ciphertext = m1.encrypt(b"value")
    assert state_of(m1) == ("file", "file")

    give(m1, sealing_key_tpm2=b"t" * 32)
    m1.configure("sealing", TPM)
    assert restart(m1)["sealed_under"] == "sealing-key-tpm2"
    (m1.root / "sealing.key").unlink()
    on_token(m1, hsm)
    assert restart(m1)["sealed_under"] == "pkcs11"
    (m1.root / "credentials" / "sealing-key-tpm2").unlink()
    assert restart(m1) == {"key": "pkcs11", "sealed_under": "pkcs11", "problem": None, "cache": None}
    assert m1.decrypt(ciphertext) == b"value"

    give(m1, sealing_key=b"h" * 32)
    m1.configure("sealing", f'provider = "systemd-creds"\ntoken = "{m1.root}/token.toml"')
    assert restart(m1)["sealed_under"] == "sealing-key"
    (m1.root / "token.toml").unlink()
    hsm.take_out()
    assert restart(m1)["sealed_under"] == "sealing-key"
    wait_for(lambda: m1.status()["can_encrypt"], "m1 is the master again")
    assert m1.decrypt(ciphertext) == b"value"


def test_a_change_that_is_cut_short_at_any_point_is_completed_by_the_next_start(fleet: Callable[..., Fleet]) -> None:
    """Killed before and after it has sealed anew, with either key's configuration: it opens, every time."""
    (m1,) = fleet("m1").servers
    ciphertext = m1.encrypt(b"value")
    give(m1, sealing_key_tpm2=b"t" * 32)
    old = 'provider = "file"'
    for configuration, key in ((TPM, "sealing-key-tpm2"), (old, "file"), (TPM, "sealing-key-tpm2")):
        m1.stop(signal.SIGKILL)
        m1.configure("sealing", configuration)
        m1.start(wait=False)
        m1.stop(signal.SIGKILL)
        m1.start()
        assert state_of(m1) == (key, key)
        assert m1.decrypt(ciphertext) == b"value"


def test_a_token_that_is_away_when_the_sealing_is_changed_to_it(fleet: Callable[..., Fleet], hsm: SoftHsm) -> None:
    """The copy stays under the old key, with the reason in the status; when the token is there, the next look seals with it."""
    m1, m2 = fleet("m1", "m2").servers
    hsm.take_out()
    on_token(m2, hsm)
    sealing = restart(m2)
    assert (sealing["key"], sealing["sealed_under"]) == ("pkcs11", "file")
    assert "the token 'holdfast' is not there" in str(sealing["problem"])
    assert "the token 'holdfast' is not there" in m2.status()["sentence"]
    wait_for(lambda: m2.status()["can_encrypt"], "m2 is attached all the same")
    hsm.put_back()
    wait_for(lambda: state_of(m2) == ("pkcs11", "pkcs11"), "m2 has sealed with the token")
    assert m2.status()["sealing"]["problem"] is None

    # And away at a start: no keyring of its own, the master's all the same, and fit to be master only with the token.
    hsm.take_out()
    (m2.root / "sealing.key").unlink()
    m1.stop()
    assert "is not there" in str(restart(m2)["problem"])
    assert m2.status()["key_id"] is None
    m1.start()
    wait_for(lambda: m2.status()["can_encrypt"], "m2 is attached")
    assert any("the token 'holdfast' is not there" in reason for reason in m2.status()["unfit"])
    hsm.put_back()
    wait_for(lambda: m2.status()["unfit"] == [], "m2 is fit again")
    m1.stop()
    restart(m2)
    assert m2.status()["can_decrypt"]


def test_a_refused_pin_is_a_reason_and_is_not_tried_again(fleet: Callable[..., Fleet], hsm: SoftHsm) -> None:
    """Looks at the status, which try to seal, leave the token's PIN alone; the right one is taken at the next start."""
    m1, m2 = fleet("m1", "m2").servers
    give(m2, sealing_pin=b"wrong-pin")
    on_token(m2, hsm)
    assert "refuses the PIN" in str(restart(m2)["problem"])
    # Would it try, it would find another reason.
    hsm.take_out()
    for _ in range(3):
        assert "refuses the PIN" in m2.status()["sealing"]["problem"]
        m2.ok("POST", "/v1/refresh", {})
    assert m2.status()["sealing"]["sealed_under"] == "file"
    assert m2.status()["can_encrypt"]
    hsm.put_back()
    give(m2, sealing_pin=PIN.encode())
    restart(m2)
    assert state_of(m2) == ("pkcs11", "pkcs11")
    for log in (m1.log, m2.log):
        assert PIN not in log.read_text()
        assert "wrong-pin" not in log.read_text()


def test_the_token_s_key_is_its_own_and_the_disk_alone_opens_nothing(fleet: Callable[..., Fleet], hsm: SoftHsm) -> None:
    (m1,) = fleet("m1").servers
    on_token(m1, hsm)
    restart(m1)
    (m1.root / "sealing.key").unlink()
    listed = subprocess.run(
        ["/usr/bin/softhsm2-util", "--show-slots"], env=hsm.environment, capture_output=True, text=True, check=True
    )
    assert "holdfast" in listed.stdout
    hsm.take_out()
    restart(m1)
    assert m1.status()["key_id"] is None
    assert m1.sealed.read_bytes().startswith(b"holdfast sealed keyring 2\npkcs11\n")
    assert MODULE in (m1.root / "token.toml").read_text()


def with_cache(server: Server, seconds: float) -> None:
    server.configure("sealing", f'provider = "file"\ncache_max_age = {seconds}')


def test_a_plain_server_with_a_cache_decrypts_after_a_restart_without_the_master(fleet: Callable[..., Fleet]) -> None:
    """For so long, and then no more; it never encrypts; the master that is back vouches for it; off again, the copy is gone."""
    m1, s1 = fleet("m1", "s1").servers
    ciphertext = s1.encrypt(b"value")
    with_cache(s1, 3600)
    restart(s1)
    wait_for(lambda: s1.status()["sealed_key_id"] == s1.status()["key_id"] is not None, "s1 has a sealed cache")
    assert b"value" not in s1.sealed.read_bytes()

    m1.stop(signal.SIGKILL)
    s1.stop(signal.SIGKILL)
    s1.start()
    assert s1.decrypt(ciphertext) == b"value"
    assert s1.refused("POST", "/v1/encrypt", EMPTY)["type"] == "master-lost"
    assert "decrypting from the sealed cache until 2" in s1.status()["sentence"]
    cache = s1.status()["sealing"]["cache"]
    assert cache["used_until"] > cache["vouched_at"]
    assert s1.call("GET", "/v1/health")[0] == 200

    m1.start()
    wait_for(lambda: s1.status()["can_encrypt"], "s1 is attached again")
    assert s1.status()["sealing"]["cache"]["used_until"] is None

    with_cache(s1, 2)
    m1.stop(signal.SIGKILL)
    s1.stop(signal.SIGKILL)
    s1.start()
    wait_for(lambda: s1.status()["key_id"] is None, "the cache is too old", 5)
    refusal = s1.refused("POST", "/v1/decrypt", {"application": "app", "context": "context", "ciphertext": ciphertext})
    assert refusal["type"] == "no-keyring"
    assert "sealing.cache_max_age" in refusal["detail"]
    assert s1.call("GET", "/v1/health")[0] == 503

    s1.configure("sealing", 'provider = "file"')
    restart(s1)
    assert not s1.sealed.exists()


def test_a_removed_server_s_cache_is_destroyed_at_once(fleet: Callable[..., Fleet]) -> None:
    """Of one that runs within a second; one that was off at the time destroys its own when it hears of it."""
    m1, s1, s2 = fleet("m1", "s1", "s2").servers
    for server in (s1, s2):
        with_cache(server, 3600)
        restart(server)
        wait_for(server.sealed.exists, f"{server.name} has a cache")
    s2.stop()
    for name in ("s1", "s2"):
        m1.ok("DELETE", f"/v1/servers/{name}")
    wait_for(lambda: not s1.sealed.exists(), "s1's cache is gone", 6)
    s2.start()
    wait_for(lambda: not s2.sealed.exists(), "s2's cache is gone", 10)
    assert s2.status()["key_id"] is None
