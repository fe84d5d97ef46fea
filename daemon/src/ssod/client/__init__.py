"""A client of ssod for programs in Python, with the standard library alone: this directory can be copied into another project.

    with Client() as sso:
        password = sso.get_config("billing", "prod").properties["password"]

docs/client.md has the rest.
"""

from .answers import Config, Credentials, Ticket
from .asynchronous import AsyncClient
from .blocking import Client
from .errors import (
    ApplicationDisabled,
    ApplicationNotFound,
    AuditUnavailable,
    BadRequest,
    CiphertextRejected,
    ConfigNotFound,
    DatabaseUnavailable,
    Detached,
    HoldfastError,
    MappingDisabled,
    MappingNotFound,
    MasterLost,
    MastershipUnconfirmed,
    NoCredentials,
    NoKeyring,
    NotAllowed,
    NotBackedUp,
    NotFound,
    NotUnderstood,
    Problem,
    Refused,
    Rejected,
    SsoDisabled,
    TicketRejected,
    TicketsNotAllowed,
    Unavailable,
    UnknownKeyId,
    Unreachable,
)

__all__ = [
    "ApplicationDisabled",
    "ApplicationNotFound",
    "AsyncClient",
    "AuditUnavailable",
    "BadRequest",
    "CiphertextRejected",
    "Client",
    "Config",
    "ConfigNotFound",
    "Credentials",
    "DatabaseUnavailable",
    "Detached",
    "HoldfastError",
    "MappingDisabled",
    "MappingNotFound",
    "MasterLost",
    "MastershipUnconfirmed",
    "NoCredentials",
    "NoKeyring",
    "NotAllowed",
    "NotBackedUp",
    "NotFound",
    "NotUnderstood",
    "Problem",
    "Refused",
    "Rejected",
    "SsoDisabled",
    "Ticket",
    "TicketRejected",
    "TicketsNotAllowed",
    "Unavailable",
    "UnknownKeyId",
    "Unreachable",
]
