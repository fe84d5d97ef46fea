"""Routes for encrypting, decrypting, applications and their configurations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from ssod.errors import (
    ApplicationIncomplete,
    ApplicationInUse,
    ApplicationNotFound,
    ConfigNotFound,
    DatabaseUnavailable,
    DataLoss,
    InvalidValue,
    MasterLost,
    VersionConflict,
)
from ssod.service.application_plan import Wanted
from ssod.service.applications import Applications
from ssod.service.authority import Authority
from ssod.service.configuration import Answer, Configuration, Configurations
from ssod.service.encryption import Encryption
from ssod.service.feed import Feed
from ssod.service.node import Node
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import LONGEST_WAIT, Handler, Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import ANYBODY, DRY_RUN, ENCRYPTING, IN_APPLICATION, OPENING, STORING, WAIT, Description, Query
from ssod.transport.routes.shapes import application_document, entity_tags, sealed_values, time_text

REVEAL = Query("reveal", bool, "Every value, also of masked fields; audited as a disclosure.")
WITH_DATA = Query("with_data", bool, "Delete its configurations and mappings with it.")


class DataRoutes:
    """Encrypting, decrypting, applications and their configurations."""

    def __init__(
        self,
        authority: Authority,
        encryption: Encryption,
        applications: Applications,
        configurations: Configurations,
        node: Node,
        feed: Feed,
    ) -> None:
        self._authority = authority
        self._encryption = encryption
        self._applications = applications
        self._configurations = configurations
        self._node = node
        self._feed = feed
        self._encrypt_body = body_as(d.EncryptBody)
        self._decrypt_body = body_as(d.DecryptBody)
        self._encrypt_batch_body = body_as(d.EncryptBatchBody)
        self._decrypt_batch_body = body_as(d.DecryptBatchBody)
        self._application_body = body_as(d.ApplicationBody)
        self._config_body = body_as(d.ConfigBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/encrypt",
                self.encrypt,
                Description("Encrypt a value", "encrypt", d.Ciphertext, d.EncryptBody, problems=(*IN_APPLICATION, *ENCRYPTING)),
                prompt=True,
            ),
            Route(
                "POST",
                "/v1/decrypt",
                self.decrypt,
                Description("Decrypt a value", "decrypt", d.Plaintext, d.DecryptBody, problems=(*IN_APPLICATION, *OPENING)),
                prompt=True,
            ),
            Route(
                "POST",
                "/v1/encrypt-batch",
                self.encrypt_batch,
                Description(
                    "Encrypt up to 1,000 values",
                    "encrypt",
                    d.Ciphertexts,
                    d.EncryptBatchBody,
                    problems=(*IN_APPLICATION, *ENCRYPTING),
                ),
            ),
            Route(
                "POST",
                "/v1/decrypt-batch",
                self.decrypt_batch,
                Description(
                    "Decrypt up to 1,000 values: all, or none",
                    "decrypt",
                    d.Plaintexts,
                    d.DecryptBatchBody,
                    problems=(*IN_APPLICATION, *OPENING),
                ),
            ),
            Route(
                "GET",
                "/v1/applications",
                self.list_applications,
                Description(
                    "List the applications that the caller may see", ANYBODY, a.Applications, problems=(DatabaseUnavailable,)
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}",
                self.show_application,
                Description("Show an application", "read application", a.Application, problems=(ApplicationNotFound,)),
            ),
            Route(
                "PUT",
                "/v1/applications/{application}",
                self.put_application,
                Description(
                    "Create or change an application",
                    "change application users",
                    a.ApplicationWritten,
                    d.ApplicationBody,
                    query=(DRY_RUN,),
                    problems=(VersionConflict, DataLoss, ApplicationIncomplete, InvalidValue),
                ),
            ),
            Route(
                "DELETE",
                "/v1/applications/{application}",
                self.delete_application,
                Description(
                    "Delete an application",
                    "change application",
                    a.ApplicationDeleted,
                    query=(WITH_DATA, DRY_RUN),
                    problems=(ApplicationNotFound, ApplicationInUse),
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}/config",
                self.list_configs,
                Description(
                    "List the configurations of an application", "list configuration", a.Configs, problems=(ApplicationNotFound,)
                ),
            ),
            Route(
                "GET",
                "/v1/applications/{application}/config/{config}",
                self.get_config,
                Description(
                    "Read a configuration",
                    "read configuration",
                    a.Config,
                    query=(REVEAL, WAIT),
                    problems=(*IN_APPLICATION, ConfigNotFound, *OPENING),
                    conditional=True,
                ),
                alone=True,
                prompt=True,
            ),
            Route(
                "PUT",
                "/v1/applications/{application}/config/{config}",
                self.put_config,
                Description(
                    "Replace a configuration",
                    "change configuration",
                    a.ConfigWritten,
                    d.ConfigBody,
                    query=(DRY_RUN,),
                    problems=(*IN_APPLICATION, *STORING),
                ),
            ),
            Route(
                "DELETE",
                "/v1/applications/{application}/config/{config}",
                self.delete_config,
                Description(
                    "Delete a configuration",
                    "change configuration",
                    a.Deleted,
                    query=(DRY_RUN,),
                    problems=(ApplicationNotFound, ConfigNotFound),
                ),
            ),
        ]

    # One value a request is the busiest path: these answer without a coroutine when nothing has to be waited for.

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
        flags = {name: value for name, value in msgspec.structs.asdict(b.flags).items() if value is not None}
        application, plan = await self._applications.put(
            request.call,
            Wanted(
                request.path[0],
                b.description,
                b.contact,
                tuple(b.administrators),
                tuple(b.users),
                tuple(b.fields),
                b.enabled,
                b.type,
                flags,
            ),
            b.if_version,
            accept_loss=b.data_loss == "accept",
            dry_run=request.flag("dry_run"),
        )
        return answer(application_document(application) | {"plan": plan._asdict()})

    async def delete_application(self, request: Request) -> Response:
        destroys = await self._applications.delete(
            request.call, request.path[0], with_data=request.flag("with_data"), dry_run=request.flag("dry_run")
        )
        return answer({"destroys": destroys})

    async def list_configs(self, request: Request) -> Response:
        entries = await self._configurations.names(request.call, request.path[0])
        return answer({"configs": [each._asdict() | {"updated_at": time_text(each.updated_at)} for each in entries]})

    def get_config(self, request: Request) -> Response | Awaitable[Response]:
        application, name = request.path
        reveal, known, wait = request.flag("reveal"), entity_tags(request), request.seconds("wait", LONGEST_WAIT)
        found = self._configurations.at_hand(request.call, application, name, known, reveal=reveal)
        if found is None or (found.body is None and wait):
            return self._get_config(request)
        return self._config_answer(found)

    async def _get_config(self, request: Request) -> Response:
        """Waits for what the caller does not have yet, for as long as it asks for."""
        application, name = request.path
        reveal, known = request.flag("reveal"), entity_tags(request)
        loop = asyncio.get_running_loop()
        until = loop.time() + request.seconds("wait", LONGEST_WAIT)
        while True:
            moment = self._feed.moment
            found = await self._configurations.answer(request.call, application, name, known, self._config_bytes, reveal=reveal)
            if found.body is not None or not await self._feed.wait(application, moment, until - loop.time()):
                return self._config_answer(found)
            request = request.renewed()

    @staticmethod
    def _config_answer(found: Answer) -> Response:
        headers = ((b"etag", found.etag.encode()),)
        return Response(b"", 304, headers=headers) if found.body is None else Response(found.body, headers=headers)

    @staticmethod
    def _config_bytes(found: Configuration) -> bytes:
        return msgspec.json.encode(
            {
                "application": found.record.application,
                "name": found.record.name,
                "version": found.record.version,
                "updated_at": time_text(found.record.updated_at),
                "key_id": found.key_id,
                "properties": found.properties,
                "masked": found.masked,
                "cached_at": time_text(found.cached_at),
            }
        )

    async def put_config(self, request: Request) -> Response:
        application, name = request.path
        body = self._config_body(request.body)
        given = sealed_values(body.ciphertexts, "properties", body.properties) or body.properties
        if given is None:
            raise InvalidValue("the body holds neither properties nor ciphertexts", next_step="give one of them")
        version, changes = await self._configurations.put(
            request.call, application, name, given, body.if_version, dry_run=request.flag("dry_run")
        )
        return answer({"version": version, "changes": changes._asdict()})

    async def delete_config(self, request: Request) -> Response:
        application, name = request.path
        version = await self._configurations.delete(request.call, application, name, dry_run=request.flag("dry_run"))
        return answer({"version": version})
