"""Who the callers are, everywhere and in an application, from a copy of what decides it that outlives the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from ssod.core.access import Caller, Grants, Role, require, roles
from ssod.errors import ApplicationDisabled, ApplicationNotFound, CertificateRevoked, DatabaseUnavailable, SsoDisabled
from ssod.service.offload import Offload
from ssod.storage.records import Application, Revocation
from ssod.storage.standing import StandingRepository

# Seconds between two reloads that unknown names cause.
MISS_PAUSE = 0.2


class Authority:
    """`configured` are the grants of this server's file: they count whatever the database says, so that nobody is locked out."""

    def __init__(self, repository: StandingRepository, offload: Offload, configured: Grants) -> None:
        self._repository = repository
        self._offload = offload
        self._known: dict[str, Application] | None = None
        self._missed = float("-inf")
        self._asked = 0
        self._taken = 0
        self.configured = configured
        self.stored = Grants()
        self.disabled_at: datetime | None = None
        self.refused: list[Revocation] = []
        # The same by the hash of the public key.
        self.revoked: dict[str, Revocation] = {}
        # Called when a certificate is refused that was not, or the other way round.
        self.revocations_changed: Callable[[], None] = lambda: None
        self._grants = configured

    def configure(self, configured: Grants) -> None:
        self.configured = configured
        self._grants = configured | self.stored

    async def reload(self) -> None:
        """Raises DatabaseUnavailable, and keeps what is known."""
        self._asked += 1
        asked = self._asked
        standing = await self._offload(self._repository.read)
        if asked < self._taken:
            return  # reloads overlap: what an earlier one saw must not undo what a later one has shown
        self._taken = asked
        known = self._known or {}
        # One that is as it was stays the same object: what was made for it is told by that to be right still.
        self._known = {each.name: known[each.name] if known.get(each.name) == each else each for each in standing.applications}
        self.stored = Grants.of(standing.members)
        self._grants = self.configured | self.stored
        self.disabled_at = standing.disabled_at
        refused = list(standing.revoked)
        if refused != self.refused:
            self.refused, self.revoked = refused, {each.key: each for each in refused}
            self.revocations_changed()

    def refuse_revoked(self, key: str) -> None:
        """Raises CertificateRevoked for a certificate with this public key, if it is refused here."""
        revocation = self.revoked.get(key)
        if revocation is not None:
            raise CertificateRevoked(
                f"the certificate of {revocation.name} has been revoked since {revocation.revoked_at:%Y-%m-%dT%H:%M:%SZ}",
                next_step="if it is a server that is to come back, add it with add_server.yml, which gives it a new one",
            )

    async def ensure_revocations(self) -> None:
        """Raises DatabaseUnavailable while it is not known which certificates are refused."""
        if self._known is None:
            await self.reload()

    def known(self, name: str) -> Application | None:
        return self._known.get(name) if self._known is not None else None

    async def find(self, name: str) -> Application:
        """Raises ApplicationNotFound, or DatabaseUnavailable when it cannot be known."""
        known = self.known(name)
        if known is not None:
            return known
        # Names that nobody knows must not keep the database busy.
        now = asyncio.get_running_loop().time()
        if self._known is None or now - self._missed >= MISS_PAUSE:
            self._missed = now
            try:
                await self.reload()
            except DatabaseUnavailable:
                if self._known is None:
                    raise
        known = self.known(name)
        if known is None:
            raise ApplicationNotFound(f"there is no application {name!r}", next_step="list them with `ssoctl application list`")
        return known

    def everywhere(self, caller: Caller, act: str) -> None:
        """Raises Forbidden unless an environment-wide role of the caller may act."""
        require(act, caller, self.held_everywhere(caller))

    def held_everywhere(self, caller: Caller) -> frozenset[Role]:
        # A server that has never read the database does not know who is refused: it gives nobody from outside a role by its file.
        if self._known is None and caller.name.startswith("certificate:"):
            raise DatabaseUnavailable(
                f"whether the certificate of {caller.name.partition(':')[2]} is revoked cannot be known yet",
                next_step="bring the database back, or ask at the unix socket of this server",
            )
        return roles(caller, self._grants)

    def held(self, caller: Caller, application: Application) -> frozenset[Role]:
        return roles(caller, self._grants, application.administrators, application.users)

    def within(self, caller: Caller, act: str, application: Application) -> None:
        """Raises Forbidden unless the caller may act in the application."""
        require(act, caller, self.held(caller, application), f"application {application.name}")

    def enabled(self, application: Application) -> None:
        """Raises SsoDisabled or ApplicationDisabled: nobody is given a value then, whatever his role."""
        self.sso_enabled()
        if not application.enabled:
            raise ApplicationDisabled(f"application {application.name} is disabled", next_step="enable the application")

    def sso_enabled(self) -> None:
        if self.disabled_at is not None:
            raise SsoDisabled(
                f"SSO has been disabled everywhere since {self.disabled_at:%Y-%m-%dT%H:%M:%SZ}",
                next_step="an SSO administrator enables it with `ssoctl sso enable`",
            )
