"""Which sealing keys this host has: the one that its configuration names, and another while the sealing is changed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ssod.core.keyring import Random
from ssod.core.secretbytes import SecretBytes
from ssod.errors import UNREADABLE, ConfigurationRefused
from ssod.seal.keys import FILE, PIN_CREDENTIAL, TOKEN, SealingKey, key_from_file, keys_from_credentials


def sealing_keys(
    provider: str, credential: str, token: Path, state_directory: Path, credentials: str | None, random: Random
) -> list[SealingKey]:
    """The first one seals, every one opens. `credentials` is what systemd names in CREDENTIALS_DIRECTORY, `token` the file that
    describes the token. Raises ConfigurationRefused when the first one cannot even be named; a token that is away is no such case.
    """
    wanted = {"systemd-creds": credential, "file": FILE}.get(provider, TOKEN)
    keys = keys_from_credentials(credentials, credential if provider == "systemd-creds" else None, random)
    in_file = key_from_file(state_directory / "sealing.key", random, make=provider == "file")
    if in_file is not None:
        keys.append(in_file)
    if token.exists() or provider == "pkcs11":
        keys.append(_on_token(token, credentials, random))
    return sorted(keys, key=lambda key: key.name != wanted)


def _on_token(path: Path, credentials: str | None, random: Random) -> SealingKey:
    # Only where a token is used: the library is loaded by nobody else.
    from ssod.seal.pkcs11_token import TokenDescription, TokenKey

    try:
        description = msgspec.toml.decode(path.read_bytes(), type=TokenDescription)
    except OSError as error:
        raise ConfigurationRefused(
            f"sealing.provider is pkcs11, and {path} cannot be read: {error.strerror}",
            conditions=["it says module, token and key; the server role writes it"],
        ) from None
    except (*UNREADABLE, ValueError) as error:  # ValueError: a number of thousands of digits
        raise ConfigurationRefused(f"{path} is refused", conditions=[str(error)]) from None
    return TokenKey(description, _pin(credentials), random)


def _pin(credentials: str | None) -> SecretBytes | None:
    if credentials is None:
        return None
    try:
        return SecretBytes(Path(credentials, PIN_CREDENTIAL).read_bytes().removesuffix(b"\n"))
    except OSError:
        return None
