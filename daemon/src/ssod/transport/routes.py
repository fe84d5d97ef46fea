"""The route table: each handler reads its body, calls one use case, and shapes the answer. No decision is made here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from ssod import __version__
from ssod.core.states import Mastership
from ssod.errors import Malformed, MasterLost, NotEnrolled
from ssod.service.applications import Applications, check_name
from ssod.service.authority import Authority
from ssod.service.backup import Opener
from ssod.service.configuration import Configuration, Configurations
from ssod.service.encryption import Encryption
from ssod.service.mastership import MastershipService
from ssod.service.membership import Membership
from ssod.service.node import Node
from ssod.service.offload import Offload
from ssod.service.ports import Audit, Noticed
from ssod.service.secret import Secret, instant_text
from ssod.storage.records import Application, Environment, ServerRecord
from ssod.storage.repository import ServerRepository
from ssod.transport import documents as d
from ssod.transport.app import Handler, Request, Response, Route, answer, body_as
from ssod.transport.protocol import TlsPeer

LONGEST_WAIT = 3600.0


def _time(moment: datetime | None) -> str | None:
    return instant_text(moment) if moment else None


def server_document(server: ServerRecord) -> dict[str, Any]:
    return server._asdict() | {"last_seen": _time(server.last_seen)}


def application_document(application: Application) -> dict[str, Any]:
    return application._asdict()


def noticed_documents(noticed: list[Noticed]) -> list[dict[str, Any]]:
    return [each._asdict() | {"seconds": round(each.seconds, 3)} for each in noticed]


class StatusRoutes:
    """What anybody may ask."""

    def __init__(
        self,
        node: Node,
        membership: Membership,
        encryption: Encryption,
        authority: Authority,
        database_kind: str,
        certificate_expires: Callable[[], datetime],
        metrics: Callable[[], tuple[bytes, str]],
    ) -> None:
        self._node = node
        self._membership = membership
        self._encryption = encryption
        self._authority = authority
        self._database_kind = database_kind
        self._certificate_expires = certificate_expires
        self._metrics = metrics
        self._started = node.clock.monotonic()

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/v1/health", self.health),
            Route("GET", "/v1/status", self.status),
            Route("GET", "/v1/master", self.master),
            Route("POST", "/v1/refresh", self.refresh),
            Route("POST", "/v1/selftest", self.selftest),
            Route("GET", "/metrics", self.metrics),
        ]

    def health(self, _request: Request) -> Response:
        status = 200 if self._node.keyring is not None else 503
        body = {"state": self._node.state.attachment, "sentence": self._node.sentence()}
        return Response(msgspec.json.encode(body), status)

    def metrics(self, _request: Request) -> Response:
        content, content_type = self._metrics()
        return Response(content, content_type=content_type.encode())

    def status_document(self) -> dict[str, Any]:
        node, state, environment = self._node, self._node.state, self._node.environment
        backup = environment.backup if environment else None
        return {
            "server": {
                "name": state.server,
                "version": __version__,
                "state": "detached" if state.attachment == "attached" and not node.attached else state.attachment,
                "since": _time(state.since.utc),
                "sentence": node.sentence(),
                "key_id": node.key_id,
                "sealed_key_id": node.sealed_key_id,
                "epoch": state.epoch,
                "master": state.master,
                "mastership": node.mastership,
                "may_become_master": node.may_become_master,
                "can_encrypt": node.can_encrypt,
                "can_decrypt": node.keyring is not None,
                "certificate_expires_at": _time(self._certificate_expires()),
                "uptime_seconds": round(node.clock.monotonic() - self._started),
            },
            "database": {
                "reachable": state.database_lost is None and environment is not None,
                "kind": self._database_kind,
                "detail": state.database_lost,
            },
            "environment": environment
            and {
                "id": environment.id,
                "master": environment.master,
                "epoch": environment.epoch,
                "current_key_id": environment.current_key_id.hex() if environment.current_key_id else None,
                "backup_verified_at": _time(backup.verified_at) if backup else None,
                "backup_place": backup.place if backup else None,
            },
            "servers": [server_document(s) for s in self._membership.enrolled.values()] if environment else None,
        }

    async def status(self, _request: Request) -> Response:
        # A status that is seconds old is read as the present at three in the morning: ask the database now.
        await self._membership.look()
        return answer(self.status_document())

    async def refresh(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        body_as(d.Empty)(request.body)
        await self._membership.refresh()
        return answer(self.status_document())

    async def selftest(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        body_as(d.Empty)(request.body)
        key_id, seconds = await self._encryption.selftest(request.call)
        return answer({"ok": True, "key_id": key_id, "micros": round(seconds * 1_000_000)})

    def master(self, _request: Request) -> Response:
        node = self._node
        return answer(
            {
                "this_server": node.state.server,
                "master": node.state.master,
                "epoch": node.state.epoch,
                "mastership": node.mastership,
                "may_become_master": node.may_become_master,
                "sentence": node.sentence(),
            }
        )


class DataRoutes:
    """Encrypting, decrypting, applications and their configurations."""

    def __init__(
        self,
        authority: Authority,
        encryption: Encryption,
        applications: Applications,
        configurations: Configurations,
        node: Node,
    ) -> None:
        self._authority = authority
        self._encryption = encryption
        self._applications = applications
        self._configurations = configurations
        self._node = node
        self._encrypt_body = body_as(d.EncryptBody)
        self._decrypt_body = body_as(d.DecryptBody)
        self._encrypt_batch_body = body_as(d.EncryptBatchBody)
        self._decrypt_batch_body = body_as(d.DecryptBatchBody)
        self._application_body = body_as(d.ApplicationBody)
        self._config_body = body_as(d.ConfigBody)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/encrypt", self.encrypt, prompt=True),
            Route("POST", "/v1/decrypt", self.decrypt, prompt=True),
            Route("POST", "/v1/encrypt-batch", self.encrypt_batch),
            Route("POST", "/v1/decrypt-batch", self.decrypt_batch),
            Route("GET", "/v1/applications", self.list_applications),
            Route("GET", "/v1/applications/*", self.show_application),
            Route("PUT", "/v1/applications/*", self.put_application),
            Route("DELETE", "/v1/applications/*", self.delete_application),
            Route("GET", "/v1/applications/*/config", self.list_configs),
            Route("GET", "/v1/applications/*/config/*", self.get_config),
            Route("PUT", "/v1/applications/*/config/*", self.put_config),
            Route("DELETE", "/v1/applications/*/config/*", self.delete_config),
        ]

    # One value a request is the busiest path: these two answer without a coroutine when nothing has to be waited for.

    def encrypt(self, request: Request) -> Response | Awaitable[Response]:
        body = self._encrypt_body(request.body)
        application = self._authority.known(body.application)
        if application is None:
            return self._after(partial(self._authority.find, body.application), self.encrypt, request)
        try:
            (ciphertext,) = self._encryption.encrypt(request.call, application, body.context, (body.plaintext,))
        except MasterLost:
            return self._after(self._encryption.keyring_for_encryption, self.encrypt, request)
        return answer(d.Ciphertext(ciphertext))

    def decrypt(self, request: Request) -> Response | Awaitable[Response]:
        body = self._decrypt_body(request.body)
        application = self._authority.known(body.application)
        if application is None:
            return self._after(partial(self._authority.find, body.application), self.decrypt, request)
        (plaintext,) = self._encryption.decrypt(request.call, application, body.context, (body.ciphertext,))
        return answer(d.Plaintext(plaintext))

    @staticmethod
    async def _after(missing: Callable[[], Awaitable[object]], handler: Handler, request: Request) -> Response:
        """Waits for what was missing, or raises what it raises; then handles the request from its beginning."""
        await missing()
        outcome = handler(request)
        return outcome if isinstance(outcome, Response) else await outcome

    async def encrypt_batch(self, request: Request) -> Response:
        body = self._encrypt_batch_body(request.body)
        application = self._authority.known(body.application) or await self._authority.find(body.application)
        if not self._node.attached:
            await self._encryption.keyring_for_encryption()
        return answer(d.Ciphertexts(self._encryption.encrypt(request.call, application, body.context, body.plaintexts)))

    async def decrypt_batch(self, request: Request) -> Response:
        body = self._decrypt_batch_body(request.body)
        application = self._authority.known(body.application) or await self._authority.find(body.application)
        return answer(d.Plaintexts(self._encryption.decrypt(request.call, application, body.context, body.ciphertexts)))

    async def list_applications(self, request: Request) -> Response:
        found = await self._applications.visible(request.call)
        return answer({"applications": [application_document(each) for each in found]})

    async def show_application(self, request: Request) -> Response:
        return answer(application_document(await self._applications.show(request.call, request.path[0])))

    async def put_application(self, request: Request) -> Response:
        b = self._application_body(request.body)
        wanted = Application(
            request.path[0], b.description, b.contact, b.enabled, tuple(b.administrators), tuple(b.users), tuple(b.fields), 0
        )
        return answer(application_document(await self._applications.put(request.call, wanted, b.if_version)))

    async def delete_application(self, request: Request) -> Response:
        await self._applications.delete(request.call, request.path[0], with_config=request.flag("with_config"))
        return answer({})

    async def list_configs(self, request: Request) -> Response:
        entries = await self._configurations.names(request.call, request.path[0])
        return answer({"configs": [each._asdict() | {"updated_at": _time(each.updated_at)} for each in entries]})

    async def get_config(self, request: Request) -> Response:
        application, name = request.path
        found = await self._configurations.get(request.call, application, name, reveal=request.flag("reveal"))
        return answer(self._config_document(found))

    @staticmethod
    def _config_document(found: Configuration) -> dict[str, Any]:
        return {
            "application": found.record.application,
            "name": found.record.name,
            "version": found.record.version,
            "updated_at": _time(found.record.updated_at),
            "key_id": found.key_id,
            "properties": found.properties,
            "masked": found.masked,
            "cached_at": _time(found.cached_at),
        }

    async def put_config(self, request: Request) -> Response:
        application, name = request.path
        body = self._config_body(request.body)
        version, changes = await self._configurations.put(
            request.call, application, name, body.properties, body.if_version, dry_run=request.flag("dry_run")
        )
        return answer({"version": version, "changes": changes._asdict()})

    async def delete_config(self, request: Request) -> Response:
        application, name = request.path
        version = await self._configurations.delete(request.call, application, name, dry_run=request.flag("dry_run"))
        return answer({"version": version})


class SecretRoutes:
    """The master secret, for SSO administrators."""

    def __init__(self, node: Node, secret: Secret) -> None:
        self._node = node
        self._secret = secret
        self._backup_body = body_as(d.BackupBody)
        self._verify_body = body_as(d.VerifyBody)
        self._restore_body = body_as(d.RestoreBody)
        self._distribute_body = body_as(d.DistributeBody)

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/v1/secret", self.show),
            Route("POST", "/v1/secret/generate", self.generate),
            Route("POST", "/v1/secret/backup", self.backup),
            Route("POST", "/v1/secret/backup/verify", self.verify),
            Route("POST", "/v1/secret/restore", self.restore),
            Route("POST", "/v1/secret/distribute", self.distribute),
        ]

    def _document(self, environment: Environment) -> dict[str, Any]:
        current, backup, keyring = environment.current_key_id, environment.backup, self._node.keyring
        keys = [
            {
                "key_id": key.key_id.hex(),
                "created_at": _time(key.created_at),
                "state": "current" if key.key_id == current else "retired",
            }
            for key in environment.keys
        ]
        return {
            "environment_id": environment.id,
            "current_key_id": current.hex() if current else None,
            "epoch": environment.epoch,
            "generated_at": next((key["created_at"] for key in keys if key["state"] == "current"), None),
            "keys": keys,
            "held_key_ids": sorted(key.hex() for key in keyring.keys) if keyring else [],
            "sealed_key_id": self._node.sealed_key_id,
            "backup": backup
            and {
                "key_id": backup.key_id.hex(),
                "verified_at": _time(backup.verified_at),
                "place": backup.place,
                "sha256": backup.sha256,
                "protection": backup.protection,
            },
        }

    async def show(self, request: Request) -> Response:
        return answer(self._document(await self._secret.show(request.call)))

    async def generate(self, request: Request) -> Response:
        body_as(d.Empty)(request.body)
        return answer(self._document(await self._secret.generate(request.call)))

    async def backup(self, request: Request) -> Response:
        body = self._backup_body(request.body)
        content, about = await self._secret.backup(request.call, body.passphrase, body.recipients, body.reminder)
        return answer({"backup": content, "about": about})

    async def verify(self, request: Request) -> Response:
        body = self._verify_body(request.body)
        opener = Opener(body.passphrase, body.identity)
        found = await self._secret.verify(request.call, body.backup, opener, body.place, record=body.record)
        return answer(
            {
                "environment_id": found.keyring.environment,
                "current_key_id": found.keyring.current.id.hex(),
                "key_ids": sorted(key.hex() for key in found.keyring.keys),
                "sha256": found.sha256,
            }
        )

    async def restore(self, request: Request) -> Response:
        body = self._restore_body(request.body)
        changed, keyring = await self._secret.restore(
            request.call, body.backup, Opener(body.passphrase, body.identity), dry_run=body.dry_run
        )
        return answer(
            {
                "changed": changed,
                "current_key_id": keyring.current.id.hex(),
                "key_ids": sorted(key.hex() for key in keyring.keys),
            }
        )

    async def distribute(self, request: Request) -> Response:
        body = self._distribute_body(request.body)
        noticed = await self._secret.distribute(request.call, body.servers, body.timeout)
        return answer({"key_id": self._node.key_id, "servers": noticed_documents(noticed)})


class MasterRoutes:
    """Mastership and enrolment, for SSO administrators; and what the enrolled servers ask each other."""

    def __init__(
        self,
        node: Node,
        membership: Membership,
        mastership: MastershipService,
        servers: ServerRepository,
        authority: Authority,
        audit: Audit,
        offload: Offload,
    ) -> None:
        self._node = node
        self._membership = membership
        self._mastership = mastership
        self._servers = servers
        self._authority = authority
        self._audit = audit
        self._offload = offload
        self._activate_body = body_as(d.ActivateBody)
        self._deactivate_body = body_as(d.DeactivateBody)
        self._server_body = body_as(d.ServerBody)
        self._notice_body = body_as(d.NoticeBody)

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/master/activate", self.activate),
            Route("POST", "/v1/master/deactivate", self.deactivate),
            Route("GET", "/v1/servers", self.list_servers),
            Route("PUT", "/v1/servers/*", self.enrol),
            Route("DELETE", "/v1/servers/*", self.remove),
            Route("GET", "/v1/peer/keyring", self.keyring, alone=True),
            Route("POST", "/v1/peer/notice", self.notice),
        ]

    async def activate(self, request: Request) -> Response:
        body = self._activate_body(request.body)
        changed, noticed = await self._mastership.activate(request.call, body.expected_epoch, dry_run=body.dry_run)
        return answer(
            {
                "changed": changed,
                "master": self._node.state.master,
                "epoch": self._node.state.epoch,
                "servers": noticed_documents(noticed),
            }
        )

    async def deactivate(self, request: Request) -> Response:
        body = self._deactivate_body(request.body)
        changed = await self._mastership.deactivate(request.call, dry_run=body.dry_run)
        return answer({"changed": changed, "epoch": self._node.state.epoch})

    async def list_servers(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        return answer({"servers": [server_document(each) for each in await self._offload(self._servers.all)]})

    async def enrol(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        body, name = self._server_body(request.body), check_name("server", request.path[0])
        self._audit.record(request.call, "enrol server", name)
        server = await self._offload(self._servers.enrol, name, body.address, body.may_become_master, self._node.clock.now().utc)
        await self._membership.report_again()
        await self._membership.refresh()
        return answer(server_document(server))

    async def remove(self, request: Request) -> Response:
        self._authority.everywhere(request.call.caller, "manage servers")
        name = request.path[0]
        self._audit.record(request.call, "remove server", name)
        await self._offload(self._servers.remove, name)
        await self._membership.observe()
        return answer({})

    async def _enrolled(self, request: Request) -> str:
        """The name of the enrolled server that asks. Raises NotEnrolled for everybody else."""
        peer = request.peer
        if not isinstance(peer, TlsPeer) or peer.name is None:
            raise NotEnrolled("this is for enrolled servers, over mutual TLS")
        if peer.name not in self._membership.enrolled:
            await self._membership.observe()
        if peer.name not in self._membership.enrolled:
            raise NotEnrolled(f"{peer.name} is not enrolled", next_step="enrol it with `ssoctl servers enrol`, or site.yml")
        return peer.name

    async def keyring(self, request: Request) -> Response:
        name = await self._enrolled(request)
        try:
            # In this order: of NaN and 0, the larger is then 0, and a wait always ends.
            wait = min(max(0.0, float(request.query.get("wait", "0"))), LONGEST_WAIT)
        except ValueError:
            raise Malformed("wait is a number of seconds") from None
        named = request.header(b"if-none-match")
        etag = None if named in (None, b'"none"') else (named or b"").decode("latin-1")
        epoch, current, document = await self._mastership.keyring_for(request.call, name, etag, wait)
        headers = [(b"holdfast-epoch", str(epoch).encode())]
        if current is not None:
            headers.append((b"etag", current.encode()))
        return Response(document or b"", 200 if document else 304, headers=tuple(headers))

    async def notice(self, request: Request) -> Response:
        await self._enrolled(request)
        self._notice_body(request.body)
        # What the notice claims is not believed: the database says who is master.
        await self._membership.refresh()
        node = self._node
        followed = node.attached or node.mastership is Mastership.ACTIVE
        return answer(
            {
                "name": node.state.server,
                "attached": followed,
                "key_id": node.key_id,
                "epoch": node.state.epoch,
                "version": __version__,
            }
        )
