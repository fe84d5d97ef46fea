"""The other wiring place: the services behind the API, and the routes that lead to them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from ssod.runtime import journal
from ssod.runtime.metrics import Metrics
from ssod.service.applications import Applications
from ssod.service.authority import Authority
from ssod.service.certificates import Certificates
from ssod.service.configuration import Configurations
from ssod.service.credentials import Credentials
from ssod.service.encryption import Encryption
from ssod.service.feed import Feed
from ssod.service.fitness import Fitness
from ssod.service.mappings import Mappings
from ssod.service.mastership import MastershipService
from ssod.service.membership import Membership
from ssod.service.offload import Offload
from ssod.service.page import Page
from ssod.service.ports import Audit
from ssod.service.roles import Roles
from ssod.service.rotation import Rotation
from ssod.service.secret import Secret
from ssod.service.sso import Sso
from ssod.service.store_export import StoreExport
from ssod.service.store_import import StoreImport
from ssod.service.tally import Tally
from ssod.service.tickets import Tickets
from ssod.service.units import UnitCredentials
from ssod.storage.applications import ApplicationRepository
from ssod.storage.certificates import CertificateRepository
from ssod.storage.mappings import MappingRepository
from ssod.storage.repository import Database, EnvironmentRepository, ServerRepository
from ssod.storage.rotation import RotationRepository
from ssod.storage.standing import StandingRepository
from ssod.storage.tickets import TicketRepository
from ssod.storage.units import UnitCredentialRepository
from ssod.storage.whole_store import StoreRepository
from ssod.transport.app import Route
from ssod.transport.routes import (
    AuditRoutes,
    CertificateRoutes,
    DataRoutes,
    DescriptionRoutes,
    MappingRoutes,
    MasterRoutes,
    PageRoutes,
    RoleRoutes,
    RotationRoutes,
    SecretRoutes,
    StatusRoutes,
    StoreRoutes,
    UnitRoutes,
    WatchRoutes,
)
from ssod.transport.tls import Identity


class Held(NamedTuple):
    """What of the process its use cases share. `disk` is an Offload of its own; `certificate_problem` blocks."""

    membership: Membership
    database: Database
    authority: Authority
    audit: Audit
    feed: Feed
    metrics: Metrics
    tally: Tally
    offload: Offload
    disk: Offload
    identity: Callable[[], Identity]
    certificate_problem: Callable[[], str | None]


class UseCases(NamedTuple):
    """`page` is of the routes those that people of this host are served too; `units` serves the socket of units' credentials."""

    routes: list[Route]
    page: list[Route]
    units: UnitCredentials


def use_cases(held: Held) -> UseCases:
    membership, database, authority, audit, feed, metrics, tally, offload, disk, identity, certificate_problem = held
    node, chance = membership.node, os.urandom
    environment, servers = EnvironmentRepository(database), ServerRepository(database)
    standing, stored = StandingRepository(database), MappingRepository(database)
    encryption = Encryption(node, authority, membership, audit, chance, metrics.count)
    repository = ApplicationRepository(database)
    applications = Applications(repository, authority, audit, offload)
    configurations = Configurations(node, repository, authority, encryption, audit, offload, chance, feed)
    units = UnitCredentials(node, UnitCredentialRepository(database), authority, configurations, audit, offload, feed)
    mappings = Mappings(node, stored, authority, encryption, audit, offload, chance)
    credentials = Credentials(node, stored, authority, audit, offload, feed)
    tickets = Tickets(node, TicketRepository(database), credentials, authority, audit, offload, chance)
    secret = Secret(node, membership, environment, authority, audit, offload, chance)
    roles = Roles(standing, authority, audit, offload)
    sso = Sso(standing, authority, audit, offload, node.clock)
    certificates = Certificates(CertificateRepository(database), authority, audit, offload, node.clock)
    fitness = Fitness(node, membership, audit, disk, certificate_problem, lambda: database.read_only)
    mastership = MastershipService(node, membership, environment, authority, audit, offload, fitness, journal.warning)
    rotation = Rotation(node, membership, environment, RotationRepository(database), authority, audit, offload, chance, tally)
    store = StoreRepository(database)
    export = StoreExport(store, environment, authority, audit, offload)
    load = StoreImport(node, store, authority, encryption, audit, offload, chance)
    status = StatusRoutes(node, membership, encryption, fitness, authority, database.kind, identity, metrics.render)
    page = PageRoutes(node, Page(node, membership, authority, audit), status).routes()
    routes = [
        *status.routes(),
        *page,
        *DataRoutes(authority, encryption, applications, configurations, node, feed).routes(),
        *RoleRoutes(roles, sso).routes(),
        *UnitRoutes(units).routes(),
        *MappingRoutes(mappings, credentials, tickets).routes(),
        *WatchRoutes(authority, feed).routes(),
        *StoreRoutes(export, load).routes(),
        *SecretRoutes(node, secret).routes(),
        *RotationRoutes(rotation).routes(),
        *AuditRoutes(authority, audit).routes(),
        *CertificateRoutes(certificates).routes(),
        *MasterRoutes(node, membership, mastership, servers, authority, audit, offload).routes(),
    ]
    return UseCases([*routes, *DescriptionRoutes(routes).routes()], page, units)
