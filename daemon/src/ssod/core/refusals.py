"""Whether this server may encrypt or decrypt now, and the one sentence that says how it is."""

from __future__ import annotations

from datetime import datetime

from ssod.core.keyring import Keyring
from ssod.core.states import Attachment, Instant, Mastership, State, is_attached, mastership_at
from ssod.errors import MasterLost, MastershipUnconfirmed, NoKeyring, NotBackedUp, Unavailable

# A run of site.yml renews a certificate within its last 30 days (sso_certificate_renew_days): with less left, there was none.
EXPIRES_SOON_DAYS = 21
# From eleven months on a master secret is said to be old.
OLD_DAYS = 335
ROTATE = "run rotate_secret.yml"
RENEW = "run site.yml, or renew_certificates.yml"
RETURN = "stop it, or add it again with add_server.yml -e sso_new_server=HOST"
# What OpenSSL says of the alert with which PostgreSQL refuses a certificate that is in its CRL.
REVOKED_ALERT = "certificate revoked"

PROMOTE = "bring the master back, or run promote_master.yml -e sso_new_master=HOST"


def _seconds(state: State, now: Instant) -> int:
    return max(0, round(now.monotonic - state.since.monotonic))


def lost(state: State, now: Instant) -> str:
    """Which master is lost, and since when."""
    if state.master is None:
        return f"no server is the master ({state.reason})"
    return (
        f"master {state.master} not seen for {_seconds(state, now)} s, since {state.since.utc:%Y-%m-%dT%H:%M:%SZ} ({state.reason})"
    )


def encrypt_refusal(state: State, keyring: Keyring | None, now: Instant, *, while_detached: bool) -> Unavailable | None:
    """Why nothing may be encrypted now; None when it may."""
    if keyring is None:
        return no_keyring(state, now)
    if not keyring.backed_up:
        return NotBackedUp(
            f"the master secret {keyring.current.id.hex()} has never been backed up; nothing is encrypted under it",
            next_step="run backup_secret.yml, or `ssoctl secret backup` on the master",
        )
    if is_attached(state, now.monotonic) or while_detached:
        return None
    if mastership_at(state, now.monotonic) is Mastership.UNCONFIRMED:
        return MastershipUnconfirmed(
            f"this server is the master and cannot confirm it: {state.database_lost or state.reason}",
            next_step="bring the SSO database back; encryption returns by itself within seconds",
        )
    return MasterLost(f"{lost(state, now)}; decryption goes on from the cache", next_step=PROMOTE)


def no_keyring(state: State, now: Instant, cache: str | None = None) -> NoKeyring:
    """`cache` is why a keyring that was kept is not used."""
    if state.attachment is Attachment.ATTACHED:
        return NoKeyring("the environment has no master secret yet", next_step="run site.yml, or `ssoctl secret generate`")
    why = f"; {cache}" if cache is not None else ""
    return NoKeyring(f"this server holds no keyring: {lost(state, now)}{why}", next_step=PROMOTE)


def certificate_warning(expires: datetime | None, now: Instant) -> str | None:
    """Set when this server's certificate expires soon, or has."""
    if expires is None:
        return None
    left = days_left(expires, now)
    if left >= EXPIRES_SOON_DAYS:
        return None
    when = f"expires in {left} days" if left >= 0 else "HAS EXPIRED"
    return f"its certificate {when} ({expires:%Y-%m-%dT%H:%M:%SZ}): {RENEW}"


def age_warning(keyring: Keyring | None, now: Instant) -> str | None:
    """Set when the current master secret is old."""
    if keyring is None:
        return None
    age = (now.utc - datetime.fromisoformat(keyring.current.created_at)).days
    return f"the master secret is {age} days old: {ROTATE}" if age >= OLD_DAYS else None


def days_left(expires: datetime, now: Instant) -> int:
    """Whole days; negative from the moment on that it has expired."""
    return (expires - now.utc).days


def removed(since: datetime) -> str:
    """What a server says of itself whose certificate is revoked."""
    return f"REMOVED: this server's certificate has been revoked since {since:%Y-%m-%dT%H:%M:%SZ}; {RETURN}"


def refused_by_database(state: State) -> str | None:
    """As `removed`, where the database is the one that does not let this server in."""
    if state.database_lost is None or REVOKED_ALERT not in state.database_lost:
        return None
    return f"REMOVED: the SSO database refuses this server's certificate as revoked; {RETURN}"


def sentence(
    state: State, keyring: Keyring | None, now: Instant, refusal: Unavailable | None, until: datetime | None = None
) -> str:
    """One human sentence on the health of this server. `refusal` is why it does not encrypt; `until` that of a sealed cache."""
    if keyring is None:
        return f"{state.attachment}: {refusal.detail if refusal else state.reason}; cannot encrypt or decrypt"
    who = "this server is the master" if state.master == state.server else f"master {state.master}"
    if refusal is None and is_attached(state, now.monotonic):
        return f"attached: {who}, epoch {state.epoch}, key id {keyring.current.id.hex()}"
    if refusal is None:
        return f"detached: {lost(state, now)}; decrypting and, as configured, encrypting from cache"
    if isinstance(refusal, NotBackedUp):
        return f"{state.attachment}: {who}, epoch {state.epoch}; {refusal.detail}"
    if isinstance(refusal, MastershipUnconfirmed):
        return f"detached: {refusal.detail}; decrypting from cache, refusing to encrypt"
    cache = f"the sealed cache until {until:%Y-%m-%dT%H:%M:%SZ}" if until is not None else "cache"
    return f"detached: {lost(state, now)}; decrypting from {cache}, refusing to encrypt"
