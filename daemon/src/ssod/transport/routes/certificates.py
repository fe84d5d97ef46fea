"""Routes for the certificates that every server refuses."""

from __future__ import annotations

from ssod.errors import InvalidValue, LastCertificate, RevocationNotFound, VersionConflict
from ssod.service.certificates import Certificates
from ssod.storage.records import Certificate
from ssod.transport import answers as a
from ssod.transport import documents as d
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import Description
from ssod.transport.routes.shapes import revocation_document


class CertificateRoutes:
    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._body = body_as(d.RevocationBody)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/revocations",
                self.list_revocations,
                Description("List the certificates that this server refuses now", "manage servers", a.Revocations),
            ),
            Route(
                "PUT",
                "/v1/revocations/{key}",
                self.revoke,
                Description(
                    "Have every server refuse a certificate",
                    "manage servers",
                    a.Nothing,
                    d.RevocationBody,
                    problems=(LastCertificate, InvalidValue, VersionConflict),
                ),
            ),
            Route(
                "DELETE",
                "/v1/revocations/{key}",
                self.restore,
                Description("Take a revocation back", "manage servers", a.Nothing, problems=(RevocationNotFound,)),
            ),
        ]

    def list_revocations(self, request: Request) -> Response:
        return answer({"revocations": [revocation_document(each) for each in self._certificates.refused_here(request.call)]})

    async def revoke(self, request: Request) -> Response:
        body = self._body(request.body)
        certificate = Certificate(body.name, request.path[0], body.serial, body.expires_at)
        await self._certificates.revoke(request.call, certificate)
        return answer({})

    async def restore(self, request: Request) -> Response:
        await self._certificates.restore(request.call, request.path[0])
        return answer({})
