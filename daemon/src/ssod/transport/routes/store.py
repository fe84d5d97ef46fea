"""Routes for the whole store: it is given away, and taken in, with ciphertexts in place of values."""

from __future__ import annotations

from ssod.errors import ImportRefused, InvalidValue
from ssod.service.store_document import Imported, Store, StorePage
from ssod.service.store_export import StoreExport
from ssod.service.store_import import StoreImport
from ssod.transport.app import Request, Response, Route, answer
from ssod.transport.bodies import body_as
from ssod.transport.description import DRY_RUN, STORING, Description, Query

AFTER = Query("after", str, "The `next` of the page before; the first page without it.")


class StoreRoutes:
    """The whole store, for SSO administrators."""

    def __init__(self, store_export: StoreExport, store_import: StoreImport) -> None:
        self._export = store_export
        self._import = store_import
        self._import_body = body_as(Store)

    def routes(self) -> list[Route]:
        return [
            Route(
                "GET",
                "/v1/export",
                self.export,
                Description(
                    "A page of the whole store, with ciphertexts in place of values",
                    "export store",
                    StorePage,
                    query=(AFTER,),
                    problems=(InvalidValue,),
                ),
            ),
            Route(
                "POST",
                "/v1/import",
                self.take,
                Description(
                    "Add what a store was exported as: all of it, or nothing",
                    "import store",
                    Imported,
                    Store,
                    query=(DRY_RUN,),
                    problems=(ImportRefused, *STORING),
                ),
            ),
        ]

    async def export(self, request: Request) -> Response:
        return answer(await self._export.page(request.call, request.query.get("after")))

    async def take(self, request: Request) -> Response:
        store = self._import_body(request.body)
        return answer(await self._import.take(request.call, store, dry_run=request.flag("dry_run")))
