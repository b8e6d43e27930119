"""Products over HTTP, behind the route ``products``: the tenant is that of the verified token alone."""

from typing import Final

from gateway.api import Answer, Api, Endpoint, RefusedError
from gateway.context import RequestContext
from gateway.operations import Call
from services.catalog import operations
from services.catalog.errors import ForeignCursorError
from services.catalog.ports import Around, Question, Shelf
from services.catalog.schemas import BatchAnswer, ListQuery, Product, ProductPage
from services.catalog.service import Catalog

# Of one hop to the shard, however much longer the route's own time is; and under which it is not begun, for it takes
# some 2 ms, and its caller would not be told what became of it.
_STEP_S: Final = 10.0
_LEAST_S: Final = 0.01


class ProductsApi(Api):
    """The ASGI application.

    Args:
        catalog: the use cases.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        super().__init__(
            [
                Endpoint(operations.LIST, self._list),
                Endpoint(operations.BATCH, self._batch),
                Endpoint(operations.GET, self._get),
                Endpoint(operations.PUT, self._put),
                Endpoint(operations.DELETE, self._delete),
            ],
            planned=[("POST", "/sync")],
        )

    async def _list(self, call: Call, context: RequestContext) -> ProductPage:
        asked: ListQuery = call.query
        around = None
        if asked.lat is not None and asked.lon is not None:
            around = Around(asked.lat, asked.lon, asked.radius_km)
        question = Question(asked.q or None, around, asked.limit, asked.cursor)
        try:
            return await self._catalog.page(_shelf(context), question, timeout_s=_time_s(context))
        except ForeignCursorError as error:
            fault = ("cursor", "is none that a page of this question ended with; leave it out to begin again")
            raise RefusedError(error.http_status, "The cursor is not of this question", (fault,)) from error

    async def _batch(self, call: Call, context: RequestContext) -> BatchAnswer:
        return await self._catalog.put_batch(_shelf(context), call.body.products, timeout_s=_time_s(context))

    async def _get(self, call: Call, context: RequestContext) -> Product:
        return await self._catalog.get(_shelf(context), call.path.sku, timeout_s=_time_s(context))

    async def _put(self, call: Call, context: RequestContext) -> Answer:
        sku: str = call.path.sku
        if call.body.sku not in {None, sku}:
            raise RefusedError(
                400, "The sku is another one", (("sku", f"must be that of the path, {sku}, or left out"),)
            )
        product, is_new = await self._catalog.put(_shelf(context), sku, call.body, timeout_s=_time_s(context))
        return Answer(201 if is_new else 200, product)

    async def _delete(self, call: Call, context: RequestContext) -> None:
        await self._catalog.delete(_shelf(context), call.path.sku, timeout_s=_time_s(context))


def _time_s(context: RequestContext) -> float:
    return context.remaining_s(_STEP_S, least=_LEAST_S)


def _shelf(context: RequestContext) -> Shelf:
    return Shelf(context.known.tenant_id, context.known.shard, context.correlation_id)
