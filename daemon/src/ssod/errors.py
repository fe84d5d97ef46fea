"""Every refusal of ssod, as one tree. Low layers raise; the edge translates once.

SsodError
├── Refused                    409  a rule forbids it, in this state
│   ├── StaleEpoch                  another master has been activated
│   ├── VersionConflict             somebody else wrote first
│   ├── SecretExists / NoSecret
│   ├── NotMaster
│   ├── ActivationRefused           carries every failed condition
│   ├── RotationRefused             carries every failed condition
│   ├── RestoreRefused              carries every failed condition
│   ├── ApplicationInUse
│   ├── ImportRefused               carries every failed condition
│   ├── DataLoss                    carries everything that would be lost
│   ├── WouldLockOut
│   ├── UnitCredentialTaken
│   ├── ExternalIdTaken             the external account is another principal's
│   ├── NoCredentials
│   └── ServerIsMaster, LastCertificate
├── Rejected                   422  the input is well-formed and wrong
│   ├── CiphertextRejected, UnknownKeyId
│   ├── TicketRejected
│   ├── WrongPassphrase, SharesRefused, BackupDamaged, BackupOfAnotherEnvironment, BackupTooOld
│   ├── ApplicationIncomplete       carries every missing condition
│   └── InvalidValue
├── Malformed                  400  (413, 415, 405, 421: its children)
├── Forbidden                  403  UnknownCaller, CertificateRevoked, NotEnrolled, SsoDisabled, ApplicationDisabled
│   └── MappingDisabled, TicketsNotAllowed
├── Absent                     404  the only answer that means absent
├── Unavailable                503  true now, will pass
│   ├── MasterLost, NoKeyring, NotBackedUp
│   ├── DatabaseUnavailable, MastershipUnconfirmed
│   └── AuditUnavailable
├── SchemaRefused                   the database's schema is not for this version; never crosses the API
└── ConfigurationRefused            the configuration file; likewise
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

# What msgspec raises for bytes that it cannot read: an error of its own, and two that it lets through.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class SsodError(Exception):
    """What, which, and what next. `problem` is the stable name that the API publishes."""

    status = 500
    problem = "internal"
    title = "internal error"

    def __init__(self, detail: str, *, next_step: str | None = None, conditions: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.next_step = next_step
        self.conditions = tuple(conditions)


class Refused(SsodError):
    status = 409


class StaleEpoch(Refused):
    problem, title = "stale-epoch", "another master has been activated"

    def __init__(self, ours: int, database: int, master: str | None) -> None:
        super().__init__(
            f"epoch {ours} was expected; the database is at epoch {database} (master: {master or 'none'})",
            next_step="look at `ssoctl status`; if a change of master is still wanted, run it again",
        )
        self.database = database


class VersionConflict(Refused):
    problem, title = "version-conflict", "somebody else wrote first"


class SecretExists(Refused):
    problem, title = "secret-exists", "the environment has a master secret"


class NoSecret(Refused):
    problem, title = "no-secret", "the environment has no master secret"


class NotMaster(Refused):
    problem, title = "not-master", "this server is not the active master"


class ActivationRefused(Refused):
    problem, title = "activation-refused", "this server cannot become the master"


class RotationRefused(Refused):
    problem, title = "rotation-refused", "the master secret cannot be rotated yet"


class RestoreRefused(Refused):
    problem, title = "restore-refused", "the secret cannot be restored here"


class ApplicationInUse(Refused):
    problem, title = "application-in-use", "the application still has data"


class DataLoss(Refused):
    problem, title = "data-loss", "stored data would be lost"


class WouldLockOut(Refused):
    problem, title = "would-lock-out", "the caller would lose the role that this takes"


class UnitCredentialTaken(Refused):
    problem, title = "unit-credential-taken", "another application gives the unit this credential"


class ExternalIdTaken(Refused):
    problem, title = "external-id-taken", "the external account belongs to another principal"


class NoCredentials(Refused):
    problem, title = "no-credentials", "the mapping has no credentials"


class ImportRefused(Refused):
    problem, title = "import-refused", "the store cannot be imported"


class ServerIsMaster(Refused):
    problem, title = "server-is-master", "the server is the master"


class LastCertificate(Refused):
    problem, title = "last-certificate", "it is the only certificate of an enrolled server"


class Rejected(SsodError):
    status = 422


class CiphertextRejected(Rejected):
    problem, title = "ciphertext-rejected", "the ciphertext does not open here"


class UnknownKeyId(Rejected):
    problem, title = "unknown-key-id", "the keyring has no such key"


class TicketRejected(Rejected):
    problem, title = "ticket-rejected", "the ticket is not redeemed"


class WrongPassphrase(Rejected):
    problem, title = "wrong-passphrase", "the backup does not open with this passphrase or identity"


class SharesRefused(Rejected):
    problem, title = "shares-refused", "the shares do not make an identity"


class BackupDamaged(Rejected):
    problem, title = "backup-damaged", "the backup is cut off or altered"


class BackupOfAnotherEnvironment(Rejected):
    problem, title = "backup-of-another-environment", "the backup belongs to another environment"


class BackupTooOld(Rejected):
    problem, title = "backup-too-old", "the backup lacks a key that the database needs"


class ApplicationIncomplete(Rejected):
    problem, title = "application-incomplete", "the application cannot be enabled yet"


class InvalidValue(Rejected):
    problem, title = "invalid-value", "a value is not allowed"


class Malformed(SsodError):
    status, problem, title = 400, "malformed-request", "the request cannot be read"


class BodyTooLarge(Malformed):
    status, problem, title = 413, "body-too-large", "the body is too large"


class WrongContentType(Malformed):
    status, problem, title = 415, "wrong-content-type", "the body must be application/json"


class MethodNotAllowed(Malformed):
    status, problem, title = 405, "method-not-allowed", "this path does not know that method"

    def __init__(self, path: str, allowed: Iterable[str]) -> None:
        self.allowed = ", ".join(sorted(allowed))
        super().__init__(f"{path} takes {self.allowed}")


class WrongHost(Malformed):
    status, problem, title = 421, "wrong-host", "the request is for another host"


class Forbidden(SsodError):
    """`act` and `subject` say what was refused, in the words of the audit log."""

    status, problem, title = 403, "forbidden", "the caller may not do this"

    def __init__(
        self, detail: str, *, next_step: str | None = None, conditions: Sequence[str] = (), act: str = "", subject: str = ""
    ) -> None:
        super().__init__(detail, next_step=next_step, conditions=conditions)
        self.act = act
        self.subject = subject


class UnknownCaller(Forbidden):
    problem, title = "unknown-caller", "the caller is not known here"


class CertificateRevoked(Forbidden):
    problem, title = "certificate-revoked", "the certificate is revoked in this environment"


class NotEnrolled(Forbidden):
    problem, title = "not-enrolled", "the certificate is not that of an enrolled server"


class SsoDisabled(Forbidden):
    problem, title = "sso-disabled", "SSO is disabled in the whole environment"


class ApplicationDisabled(Forbidden):
    problem, title = "application-disabled", "the application is disabled"


class MappingDisabled(Forbidden):
    problem, title = "mapping-disabled", "the mapping is disabled"


class TicketsNotAllowed(Forbidden):
    problem, title = "tickets-not-allowed", "the application has no tickets"


class Absent(SsodError):
    status = 404


class NoSuchPath(Absent):
    problem, title = "no-such-path", "there is nothing at this path"


class ApplicationNotFound(Absent):
    problem, title = "application-not-found", "no such application"


class ConfigNotFound(Absent):
    problem, title = "config-not-found", "no such configuration"


class RoleNotFound(Absent):
    problem, title = "role-not-found", "no such role"


class UnitCredentialNotFound(Absent):
    problem, title = "unit-credential-not-found", "the unit is given no such credential"


class MappingNotFound(Absent):
    problem, title = "mapping-not-found", "no such mapping"


class ServerNotFound(Absent):
    problem, title = "server-not-found", "no such server"


class RevocationNotFound(Absent):
    problem, title = "revocation-not-found", "no such revocation"


class Unavailable(SsodError):
    status = 503


class MasterLost(Unavailable):
    problem, title = "master-lost", "the master secret server is lost; nothing new can be encrypted"


class NoKeyring(Unavailable):
    problem, title = "no-keyring", "this server holds no keyring"


class NotBackedUp(Unavailable):
    problem, title = "not-backed-up", "the master secret has no verified backup"


class DatabaseUnavailable(Unavailable):
    problem, title = "database-unavailable", "the SSO database cannot be reached"


class MastershipUnconfirmed(Unavailable):
    problem, title = "mastership-unconfirmed", "this master cannot confirm its mastership in the SSO database"


class AuditUnavailable(Unavailable):
    problem, title = "audit-unavailable", "the audit log cannot be written; without audit, no act"


class ConfigurationRefused(SsodError):
    problem, title = "configuration-refused", "the configuration is refused"


class SchemaRefused(SsodError):
    """The schema of the SSO database is not one that this version works on, or may make."""
