"""Which certificates are refused on every server: to see, to add one (a program's, or a stolen key's), and to take one back."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from ssod.errors import InvalidValue
from ssod.service.applications import check_name
from ssod.service.authority import Authority
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call, Clock
from ssod.storage.certificates import CertificateRepository
from ssod.storage.records import Certificate, Revocation


class Certificates:
    def __init__(
        self, repository: CertificateRepository, authority: Authority, audit: Audit, offload: Offload, clock: Clock
    ) -> None:
        self._repository = repository
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._clock = clock

    def refused_here(self, call: Call) -> list[Revocation]:
        """What this server refuses at this moment, whether or not the database can be reached."""
        self._authority.everywhere(call.caller, "manage servers")
        return self._authority.refused

    async def revoke(self, call: Call, certificate: Certificate) -> None:
        """Raises InvalidValue; LastCertificate for the only one of an enrolled server."""
        self._authority.everywhere(call.caller, "manage servers")
        now = self._clock.now().utc
        checked = _check(certificate, now)
        self._audit.record(call, "revoke certificate", f"{checked.name} {checked.key}")
        await self._offload(self._repository.revoke, checked, now)
        await self._authority.reload()

    async def restore(self, call: Call, key: str) -> None:
        """Raises RevocationNotFound."""
        self._authority.everywhere(call.caller, "manage servers")
        self._audit.record(call, "restore certificate", key)
        await self._offload(self._repository.restore, key)
        await self._authority.reload()


def _check(certificate: Certificate, now: datetime) -> Certificate:
    if not re.fullmatch("[0-9a-f]{64}", certificate.key):
        raise InvalidValue("the key is no SHA-256 of a public key in hex", next_step="use `ssoctl servers revoke FILE`")
    try:
        expires_at = certificate.expires_at.astimezone(UTC)
    except OverflowError:
        raise InvalidValue("no certificate expires then", next_step="give the time that the certificate names") from None
    if expires_at <= now:
        raise InvalidValue("the certificate has expired", next_step="nothing needs to be done: TLS refuses it by itself")
    return certificate._replace(name=check_name("certificate", certificate.name), expires_at=expires_at)
