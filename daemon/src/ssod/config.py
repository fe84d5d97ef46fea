"""The configuration file: read, checked as a whole, frozen. It holds no secret."""

from __future__ import annotations

import os
import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from ssod.core.access import Grants, check_principal
from ssod.errors import UNREADABLE, ConfigurationRefused, InvalidValue

# Not `$`: that would let a line end in after it.
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\Z")]
HostPort = Annotated[str, msgspec.Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\s]+):[0-9]{1,5}\Z")]


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    address: HostPort
    listen: HostPort = "0.0.0.0:7443"
    may_become_master: bool = False
    state_directory: str = "/var/lib/ssod"
    socket: str = "/run/ssod/ssod.sock"
    credentials_socket: str = "/run/ssod/credentials.sock"


class DatabaseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    password_file: str | None = None


class TlsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    certificate: str = "/etc/ssod/tls/server.pem"
    key: str = "/etc/ssod/tls/server.key"
    ca: str = "/etc/ssod/tls/ca.pem"


class MasterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    refresh_interval: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 60.0
    encrypt_while_detached: Literal["refuse", "allow"] = "refuse"
    managed_by: Literal["operator", "cluster"] = "operator"
    mandate_file: str = "/run/ssod.mandate"


class SealingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`cache_max_age` in seconds: for how long a plain server uses its sealed cache; 0 keeps none."""

    provider: Literal["systemd-creds", "pkcs11", "file"] = "systemd-creds"
    credential: Annotated[str, msgspec.Meta(pattern=r"^sealing-key(-[a-z0-9+]+)*\Z")] = "sealing-key"
    token: str = "/etc/ssod/token.toml"  # noqa: S105  a path
    cache_max_age: Annotated[float, msgspec.Meta(ge=0, le=90 * 86400)] = 0.0


class AccessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sso_administrators: list[str]
    sso_affiliate_administrators: list[str] = []
    sso_auditors: list[str] = []


class AuditConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str = "/var/log/ssod/audit.log"
    journal: Literal["changes", "everything", "nothing"] = "changes"


class EventsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom this server tells of events: nobody, unless `webhook` or `program` is set. `master_lost_after` is in seconds.

    A master whose mastership was not confirmed for 6 s acts no more (core/states.py): it is not lost any earlier.
    """

    webhook: str | None = None
    webhook_ca: str | None = None
    program: str | None = None
    environment: Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{1,256}\Z")] = "default"
    runbooks: str = "https://example.com/runbooks"
    master_lost_after: Annotated[float, msgspec.Meta(ge=6, le=86400)] = 15.0
    certificate_days: Annotated[int, msgspec.Meta(ge=0, le=3650)] = 21
    secret_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 365


class PageConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`listen`: where people of this host are served the status page over plain HTTP; empty for nowhere."""

    listen: Annotated[str, msgspec.Meta(pattern=r"^((\[[0-9A-Fa-f:.]+\]|[^:\s]+):[0-9]{1,5})?\Z")] = ""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: ServerConfig
    database: DatabaseConfig
    access: AccessConfig
    tls: TlsConfig = TlsConfig()
    master: MasterConfig = MasterConfig()
    sealing: SealingConfig = SealingConfig()
    audit: AuditConfig = AuditConfig()
    events: EventsConfig = EventsConfig()
    page: PageConfig = PageConfig()

    @property
    def grants(self) -> Grants:
        access = self.access
        return Grants(
            frozenset(access.sso_administrators), frozenset(access.sso_affiliate_administrators), frozenset(access.sso_auditors)
        )


def _problems(config: Config) -> list[str]:
    problems = []
    try:
        url = urlsplit(config.database.url)
        _ = url.port  # reading it checks it
    except ValueError:  # its message quotes a part of the URL, which may be a part of a password
        return ["database.url: it is no URL; write postgresql+psycopg://... or sqlite:////ABSOLUTE/PATH"]
    if url.scheme == "postgresql+psycopg":
        if "sslmode=verify-full" not in url.query.split("&"):
            problems.append("database.url: a PostgreSQL database is reached with sslmode=verify-full")
    elif url.scheme != "sqlite" or not config.database.url.startswith("sqlite:////"):
        problems.append("database.url: write postgresql+psycopg://... or sqlite:////ABSOLUTE/PATH")
    if url.password:
        problems.append("database.url: it holds a password; put that into a file and name it in database.password_file")
    if not config.access.sso_administrators:
        problems.append("access.sso_administrators: it is empty; nobody could administer this server")
    for field in ("sso_administrators", "sso_affiliate_administrators", "sso_auditors"):
        for principal in getattr(config.access, field):
            try:
                check_principal(principal)
            except InvalidValue as refusal:
                problems.append(f"access.{field}: {refusal.detail}; {refusal.next_step}")
    problems.extend(_webhook_problems(config.events))
    if config.page.listen and not _is_loopback(config.page.listen):
        problems.append(
            f"page.listen: {config.page.listen!r} is no loopback address; write 127.0.0.1:PORT, and come from afar by `ssh -L`"
        )
    paths = {
        "server.state_directory": config.server.state_directory,
        "server.socket": config.server.socket,
        "server.credentials_socket": config.server.credentials_socket,
        "master.mandate_file": config.master.mandate_file,
        "sealing.token": config.sealing.token,
        "tls.certificate": config.tls.certificate,
        "tls.key": config.tls.key,
        "tls.ca": config.tls.ca,
        "audit.file": config.audit.file,
        "events.webhook_ca": config.events.webhook_ca or "/",
        "events.program": config.events.program or "/",
    }
    problems.extend(f"{name}: {path!r} is not an absolute path" for name, path in paths.items() if not os.path.isabs(path))
    return problems


def _webhook_problems(events: EventsConfig) -> list[str]:
    problems = []
    given = events.webhook
    if given is not None:
        try:
            url = urlsplit(given)
            _ = url.port  # reading it checks it
        except ValueError:
            url = urlsplit("")
        if url.scheme not in {"https", "http"} or not url.hostname or not re.fullmatch("[!-~]+", given):
            problems.append("events.webhook: write https://HOST/... or, within a network that you trust, http://HOST/...")
        elif url.username is not None or url.password is not None:
            problems.append("events.webhook: it holds a password; let a program (events.program) read that elsewhere")
    if events.webhook_ca is not None and not (given or "").startswith("https:"):
        problems.append("events.webhook_ca: it is for a webhook at https://...")
    return problems


def _is_loopback(address: str) -> bool:
    """Of an IP address alone: a name, `localhost` too, is what some file or server says."""
    try:
        host = ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return host == IPv6Address("::1") or (host.version == 4 and host.is_loopback)


def load(path: str | os.PathLike[str]) -> Config:
    """The configuration in `path`. Raises ConfigurationRefused with every problem in `conditions`."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationRefused(f"{path}: {error.strerror}", conditions=[f"{path}: {error.strerror}"]) from None
    try:
        config = msgspec.toml.decode(text, type=Config)
    except (*UNREADABLE, ValueError) as error:  # ValueError: a number of thousands of digits
        raise ConfigurationRefused(f"{path} is refused", conditions=[str(error)]) from None
    problems = _problems(config)
    if problems:
        raise ConfigurationRefused(f"{path} is refused", conditions=problems)
    return config
