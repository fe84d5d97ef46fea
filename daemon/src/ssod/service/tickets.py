"""Tickets: a caller asks for one, hands it on, and a trusted program redeems it for that caller's credentials within minutes."""

from __future__ import annotations

from datetime import UTC, datetime

from ssod.core import envelope, tickets
from ssod.core.keyring import Random
from ssod.core.tickets import Ticket
from ssod.errors import AuditUnavailable, CiphertextRejected, TicketRejected, TicketsNotAllowed, UnknownKeyId, VersionConflict
from ssod.service.authority import Authority
from ssod.service.credentials import Credentials, Disclosed
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Call
from ssod.storage.records import Application
from ssod.storage.tickets import TicketRepository


class Tickets:
    def __init__(
        self,
        node: Node,
        repository: TicketRepository,
        credentials: Credentials,
        authority: Authority,
        audit: Audit,
        offload: Offload,
        random: Random,
    ) -> None:
        self._node = node
        self._repository = repository
        self._credentials = credentials
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._random = random

    async def issue(self, call: Call, application_name: str) -> tuple[str, datetime]:
        """A ticket of the caller's, as text, and when it expires."""
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "issue ticket", application)
        self._credentials.check(call.caller, application)
        self._check_allowed(application)
        # Nothing is stored under this key, and it stays in the keyring for longer than a ticket lives: so tickets are issued, as
        # values are decrypted, while the master is lost.
        keyring = self._node.for_decryption()
        self._audit.record(call, "issue ticket", application.name, keyring.current.id.hex())
        now = int(self._node.clock.now().utc.timestamp())
        ticket = Ticket(
            self._random(tickets.ID_BYTES),
            self._node.state.server,
            call.caller.name,
            sorted(call.caller.principals),
            now,
            now + application.flags.ticket_timeout,
        )
        sealed = keyring.seal(tickets.place_of(application.name), tickets.encode(ticket), self._random)
        return envelope.to_text(sealed, tickets.TEXT_PREFIX), datetime.fromtimestamp(ticket.expires_at, UTC)

    async def redeem(self, call: Call, application_name: str, text: str, sender: str | None) -> Disclosed:
        """The credentials of whom the ticket was issued to. Raises TicketRejected with the reason."""
        application = await self._authority.find(application_name)
        self._authority.within(call.caller, "redeem ticket", application)
        self._authority.enabled(application)
        self._check_allowed(application)
        try:
            return await self._redeem(call, application, text, sender)
        except TicketRejected as rejection:
            self._audit.record(call, "redeem ticket", application.name, outcome=rejection.problem)
            raise

    async def _redeem(self, call: Call, application: Application, text: str, sender: str | None) -> Disclosed:
        now = self._node.clock.now().utc
        ticket = self._open(application, text)
        tickets.check(ticket, now.timestamp(), sender, validated=application.flags.tickets_validated)
        # Who may no longer use the application is given nothing by an older ticket either.
        self._credentials.check(ticket.holder, application)
        found, cached_at = await self._credentials.find(application, ticket.holder, ticket.server)
        if application.flags.tickets_single_use and not await self._is_first_time(ticket, now):
            raise TicketRejected("the ticket has been redeemed already", next_step="issue a new one: it counts once")
        # Only now: of a ticket that is redeemed again, the log must not say that it was allowed.
        try:
            self._credentials.record(call, "redeem ticket", application, found)
        except AuditUnavailable:
            # Nothing has been disclosed for it: it counts when the log can be written again.
            await self._offload(self._repository.take_back, ticket.id)
            raise
        return self._credentials.open(application, found, cached_at)

    def _open(self, application: Application, text: str) -> Ticket:
        try:
            sealed = envelope.from_text(text, tickets.TEXT_PREFIX)
            plaintext = self._node.for_decryption().open(tickets.place_of(application.name), sealed)
        except UnknownKeyId as error:
            raise TicketRejected(f"the ticket does not open here: {error.detail}", next_step="issue a new one") from None
        except CiphertextRejected:
            raise TicketRejected(
                f"this is no ticket of application {application.name}: it is another application's, or was altered",
                next_step="hand it on as it was issued, every character of it",
            ) from None
        return tickets.decode(plaintext)

    async def _is_first_time(self, ticket: Ticket, now: datetime) -> bool:
        expires_at = datetime.fromtimestamp(ticket.expires_at, UTC)
        try:
            return await self._offload(self._repository.redeem, ticket.id, expires_at, now)
        except VersionConflict:  # redeemed at this very moment
            return False

    @staticmethod
    def _check_allowed(application: Application) -> None:
        if not application.flags.tickets_allowed:
            raise TicketsNotAllowed(
                f"application {application.name} has no tickets", next_step="allow them: its flag tickets_allowed"
            )
