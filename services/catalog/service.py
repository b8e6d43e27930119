"""The use cases of the catalogue."""

from collections.abc import Sequence

from actors.shards.unit import UnitCall, UnitRunner
from services.catalog import store
from services.catalog.schemas import ProductBatch, ProductSpec


class Catalog:
    """Merchants' products, each on its merchant's shard."""

    def __init__(self, shards: UnitRunner) -> None:
        self._shards = shards

    async def upsert_products(
        self, tenant_id: str, shard: int, products: Sequence[ProductSpec], *, timeout_s: float = 10.0
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
        if not batch.products:
            return 0
        rows = [_row(product) for product in batch.products]
        (outcome,) = await self._shards.run(
            [UnitCall(store.UPSERT_PRODUCTS, shard, tenant_id, rows)], timeout_s=timeout_s
        )
        changed: int = outcome.unwrap()
        return changed


def _row(product: ProductSpec) -> store.ProductRow:
    place = product.location
    return store.ProductRow(
        sku=product.sku,
        name=product.name,
        description=product.description,
        price_minor=product.price.amount,
        currency=product.price.currency,
        stock=product.stock,
        category=product.category,
        image_url=product.image_url,
        latitude=None if place is None else place.lat,
        longitude=None if place is None else place.lon,
    )
