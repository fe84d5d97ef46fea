"""The route table: each handler reads its body, calls one use case, and shapes the answer. No decision is made here."""

from ssod.transport.routes.audit import AuditRoutes
from ssod.transport.routes.certificates import CertificateRoutes
from ssod.transport.routes.data import DataRoutes
from ssod.transport.routes.description import DescriptionRoutes
from ssod.transport.routes.mappings import MappingRoutes
from ssod.transport.routes.master import MasterRoutes
from ssod.transport.routes.page import PageRoutes
from ssod.transport.routes.roles import RoleRoutes
from ssod.transport.routes.rotation import RotationRoutes
from ssod.transport.routes.secret import SecretRoutes
from ssod.transport.routes.status import StatusRoutes
from ssod.transport.routes.store import StoreRoutes
from ssod.transport.routes.units import UnitRoutes
from ssod.transport.routes.watch import WatchRoutes

__all__ = [
    "AuditRoutes",
    "CertificateRoutes",
    "DataRoutes",
    "DescriptionRoutes",
    "MappingRoutes",
    "MasterRoutes",
    "PageRoutes",
    "RoleRoutes",
    "RotationRoutes",
    "SecretRoutes",
    "StatusRoutes",
    "StoreRoutes",
    "UnitRoutes",
    "WatchRoutes",
]
