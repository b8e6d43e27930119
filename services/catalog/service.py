"""The use cases of the catalogue."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from actors.shards.unit import UnitRunner
from gateway.faults import NAMED_AT_MOST, faults_of
from services.catalog import store
from services.catalog.errors import UnknownProductError
from services.catalog.ports import ProductSearch, Question, Shelf
from services.catalog.rows import product_of, written
from services.catalog.schemas import (
    BatchAnswer,
    BatchVerdict,
    FieldError,
    Product,
    ProductBatch,
    ProductBody,
    ProductPage,
    ProductSpec,
)
from services.catalog.turns import in_turns

_TIMEOUT_S: Final = 10.0
# That are named; a batch may have one for each of its products.
_FAULTS_OF_A_BATCH: Final = 2_000
_LOTS: Final = ("created", "updated", "unchanged", "refused")


class Catalog:
    """Merchants' products, each on its merchant's shard. Holds no state."""

    def __init__(self, shards: UnitRunner, search: ProductSearch) -> None:
        self._shards, self._search = shards, search

    async def put(
        self, shelf: Shelf, sku: str, body: ProductBody, *, timeout_s: float = _TIMEOUT_S
    ) -> tuple[Product, bool]:
        """Write one product in place of what stood there.

        Returns:
            the product, and whether it is new.

        Raises:
            ShardError: nothing was written, or after a ``CommitUnknownError`` perhaps it was; repeating does no harm.
        """
        spec = ProductSpec(**{**body.model_dump(exclude={"sku"}), "sku": sku})
        one = written(spec)
        done: store.Written = await self._run(store.UPSERT_PRODUCTS, shelf, [one], timeout_s)
        return product_of(one.row), sku in done.created

    async def get(self, shelf: Shelf, sku: str, *, timeout_s: float = _TIMEOUT_S) -> Product:
        """One product.

        Raises:
            UnknownProductError: there is none of this sku.
            ShardError: the shard did not answer.
        """
        row: store.ProductRow | None = await self._run(store.READ_PRODUCT, shelf, sku, timeout_s)
        if row is None:
            raise UnknownProductError(sku)
        return product_of(row)

    async def delete(self, shelf: Shelf, sku: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Take one product away.

        Raises:
            UnknownProductError: there is none of this sku.
            ShardError: as with ``put``.
        """
        if not await self._run(store.DELETE_PRODUCT, shelf, sku, timeout_s):
            raise UnknownProductError(sku)

    async def page(self, shelf: Shelf, question: Question, *, timeout_s: float = _TIMEOUT_S) -> ProductPage:
        """Products of a search; see ``ProductSearch``."""
        return await self._search.search(shelf, question, timeout_s=timeout_s)

    async def put_batch(self, shelf: Shelf, given: Sequence[Any], *, timeout_s: float = _TIMEOUT_S) -> BatchAnswer:
        """Write those of some products that are right, together, and say of each what became of it.

        Args:
            shelf: whose.
            given: documents, as they came.
            timeout_s: for all of it.

        Raises:
            ShardError: as with ``put``; none of them was written.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        right: dict[str, ProductSpec] = {}
        verdicts: list[BatchVerdict] = []
        named_left = _FAULTS_OF_A_BATCH
        async for index, document in in_turns(enumerate(given)):
            named = document.get("sku") if isinstance(document, Mapping) else None
            sku = named if isinstance(named, str) else None
            faults: tuple[tuple[str, str], ...] = ()
            try:
                spec = ProductSpec.model_validate(document)
                if spec.sku in right:
                    faults = (("sku", "stands in this batch before; name each once"),)
                right.setdefault(spec.sku, spec)
            except ValidationError as error:
                faults = faults_of(error, min(NAMED_AT_MOST, named_left))
                named_left = max(0, named_left - len(faults))
            verdicts.append(_looked_at(index, sku, faults))
        done = await self._upsert(shelf, list(right.values()), end - loop.time())
        return _told(verdicts, done)

    async def upsert_products(
        self, tenant_id: str, shard: int, products: Sequence[ProductSpec], *, timeout_s: float = _TIMEOUT_S
    ) -> int:
        """Write products of one merchant, all or none.

        Args:
            tenant_id: whose.
            shard: where that tenant lives.
            products: at most 1000, each sku once.
            timeout_s: for all of it.

        Returns:
            how many were new or changed.

        Raises:
            pydantic.ValidationError: a sku twice, or too many.
            ShardError: nothing was written, or after a ``CommitUnknownError`` perhaps all; repeating does no harm.
        """
        batch = ProductBatch(products=tuple(products))
        done = await self._upsert(Shelf(tenant_id, shard), batch.products, timeout_s)
        return len(done.created) + len(done.updated)

    async def _upsert(self, shelf: Shelf, products: Sequence[ProductSpec], timeout_s: float) -> store.Written:
        if not products:
            return store.Written(frozenset(), frozenset())
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        rows = [written(product) async for product in in_turns(products)]
        # What has come too late for it is refused by the shards.
        done: store.Written = await self._run(store.UPSERT_PRODUCTS, shelf, rows, end - loop.time())
        return done

    async def _run(self, unit: str, shelf: Shelf, arguments: Any, timeout_s: float) -> Any:
        [outcome] = await self._shards.run([shelf.unit(unit, arguments)], timeout_s=timeout_s)
        return outcome.unwrap()


def _looked_at(index: int, sku: str | None, faults: Sequence[tuple[str, str]]) -> BatchVerdict:
    errors = [FieldError(field=field, message=message) for field, message in faults] or None
    return BatchVerdict(index=index, sku=sku, status="unchanged" if errors is None else "refused", errors=errors)


def _told(verdicts: Sequence[BatchVerdict], done: store.Written) -> BatchAnswer:
    results = [one if one.status == "refused" else _settled(one, done) for one in verdicts]
    counts = {status: sum(one.status == status for one in results) for status in _LOTS}
    return BatchAnswer(results=results, **counts)


def _settled(verdict: BatchVerdict, done: store.Written) -> BatchVerdict:
    if verdict.sku in done.created:
        return verdict.model_copy(update={"status": "created"})
    if verdict.sku in done.updated:
        return verdict.model_copy(update={"status": "updated"})
    return verdict
