"""A sealing key on a PKCS#11 token: an AES-256 key that never leaves it. The one file that imports python-pkcs11.

Each sealing has a fresh data key of its own; the token encrypts that with AES-GCM, and the keyring is sealed under it like any
other. So the token sees 32 bytes and not the keyring, whatever the limits on what it takes at once.
Body: `IV(12) ‖ data key encrypted by the token(48) ‖ nonce(24) ‖ ciphertext+tag`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, TokenFlag

from ssod.core.aead import KEY_BYTES, TAG_BYTES, DoesNotOpen
from ssod.core.keyring import Random
from ssod.core.secretbytes import SecretBytes
from ssod.seal.keys import TOKEN, SealUnavailable, opened_with, sealed_under

IV_BYTES = 12
_WRAPPED = IV_BYTES + KEY_BYTES + TAG_BYTES
# What a token says of a ciphertext that was not made so by this key; some of them have only the general word for it.
_NOT_OURS = (
    pkcs11.EncryptedDataInvalid,
    pkcs11.EncryptedDataLenRange,
    pkcs11.DataInvalid,
    pkcs11.GeneralError,
    pkcs11.FunctionFailed,
)

T = TypeVar("T")


class TokenDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that `sealing.token` names: the module's library, the label of the token, the label of the key on it."""

    module: str
    token: str
    key: str


class TokenKey:
    """Logs in when it is first needed, and stays so. Not for two threads at once: a sealed copy has a lock."""

    name = TOKEN

    def __init__(self, description: TokenDescription, pin: SecretBytes | None, random: Random) -> None:
        self._where = description
        self._pin = pin
        self._random = random
        self._key: pkcs11.SecretKey | None = None
        self._refused: str | None = None

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        data_key, iv = SecretBytes(self._random(KEY_BYTES)), self._random(IV_BYTES)
        parameters = _parameters(iv, associated)
        wrapped = self._with_key(lambda key: _encrypt(key, data_key.reveal(), parameters), make=True)
        return iv + wrapped + sealed_under(data_key, plaintext, associated, self._random)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        iv, wrapped, rest = sealed[:IV_BYTES], sealed[IV_BYTES:_WRAPPED], sealed[_WRAPPED:]
        if len(wrapped) != _WRAPPED - IV_BYTES:
            raise DoesNotOpen
        parameters = _parameters(iv, associated)
        data_key = self._with_key(lambda key: _decrypt(key, wrapped, parameters), make=False)
        if len(data_key) != KEY_BYTES:
            raise DoesNotOpen
        return opened_with(SecretBytes(data_key), rest, associated)

    def _with_key(self, use: Callable[[pkcs11.SecretKey], T], *, make: bool) -> T:
        """A session may have ended since, with its token taken out and put back: it is begun anew, once."""
        for last in (False, True):
            fresh = self._key is None
            try:
                if self._key is None:
                    self._key = self._find(make=make)
                return use(self._key)
            except pkcs11.PKCS11Error as error:
                self._key = None
                if last or fresh:
                    raise SealUnavailable(f"the token {self._where.token!r} does not answer: {_word(error)}") from None
        raise AssertionError("a second try returns or raises")

    def _find(self, *, make: bool) -> pkcs11.SecretKey:
        session = self._login()
        label = self._where.key
        found = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label}))
        if len(found) > 1:
            raise SealUnavailable(f"the token {self._where.token!r} has {len(found)} keys of the label {label!r}: leave one")
        if found:
            key = found[0]
        elif make:
            template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.MODIFIABLE: False}
            key = session.generate_key(KeyType.AES, KEY_BYTES * 8, label=label, store=True, template=template)
        else:
            raise SealUnavailable(f"the token {self._where.token!r} has no key of the label {label!r}")
        if not isinstance(key, pkcs11.SecretKey) or key[Attribute.EXTRACTABLE]:
            raise SealUnavailable(f"the key {label!r} on the token {self._where.token!r} can be taken out of it: make another")
        return key

    def _login(self) -> pkcs11.Session:
        if self._refused is not None:
            raise SealUnavailable(self._refused)
        name = self._where.token
        if self._pin is None:
            raise SealUnavailable("there is no credential sealing-pin with the PIN of the token: the server role writes it")
        token = self._token()
        if token.flags & TokenFlag.USER_PIN_LOCKED:
            raise SealUnavailable(f"the token {name!r} has locked its PIN: unlock it there")
        if token.flags & TokenFlag.USER_PIN_FINAL_TRY:
            # Whoever knows the PIN may use the last try; a daemon that starts with a wrong one must not.
            raise SealUnavailable(f"the token {name!r} takes one more wrong PIN and locks: log in by hand once, with the right one")
        try:
            return token.open(rw=True, user_pin=self._pin.reveal().decode())
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)  # it is the process that is logged in
        except UnicodeDecodeError:
            raise SealUnavailable("the PIN of the token is no text") from None
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinExpired, pkcs11.PinLocked) as error:
            # Never tried again by itself: a few wrong ones lock a token.
            self._refused = (
                f"the token {name!r} refuses the PIN ({_word(error)}); it is not tried again before a restart: "
                "give the right one in sso_sealing_pin_file and run site.yml"
            )
            raise SealUnavailable(self._refused) from None

    def _token(self) -> pkcs11.Token:
        if not Path(self._where.module).is_file():
            raise SealUnavailable(f"the PKCS#11 module {self._where.module} is not there: install the token's software")
        try:
            library = pkcs11.lib(self._where.module)
            try:
                return library.get_token(token_label=self._where.token)
            except pkcs11.NoSuchToken:
                library.reinitialize()  # some see a token only if it was there when they began
                return library.get_token(token_label=self._where.token)
        except pkcs11.NoSuchToken:
            raise SealUnavailable(f"the token {self._where.token!r} is not there") from None
        except pkcs11.MultipleTokensReturned:
            raise SealUnavailable(f"there are two tokens of the label {self._where.token!r}") from None
        except (pkcs11.PKCS11Error, RuntimeError) as error:
            raise SealUnavailable(f"the PKCS#11 module {self._where.module} cannot be used: {_word(error)}") from None


def _parameters(iv: bytes, associated: bytes) -> GCMParams:
    return GCMParams(iv, associated, TAG_BYTES * 8)


# What a key is able to do is mixed into its class when it is found, which its type does not say.
def _encrypt(key: Any, plaintext: bytes, parameters: GCMParams) -> bytes:
    return bytes(key.encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))


def _decrypt(key: Any, ciphertext: bytes, parameters: GCMParams) -> bytes:
    try:
        return bytes(key.decrypt(ciphertext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))
    except _NOT_OURS:
        raise DoesNotOpen from None


def _word(error: Exception) -> str:
    return str(error) or type(error).__name__
