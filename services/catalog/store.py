"""All SQL of the catalogue, as units of work in the merchant's context."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.shards.unit import Transaction, UnitFunction
from kernel.sql import load_queries

_SQL = load_queries(Path(__file__).with_name("queries.sql"))

UPSERT_PRODUCTS: Final = "catalog.upsert_products"


class ProductRow(NamedTuple):
    """In the order of the statement's arrays."""

    sku: str
    name: str
    description: str
    price_minor: int
    currency: str
    stock: int | None
    category: str | None
    image_url: str | None
    latitude: float | None
    longitude: float | None


async def upsert_products(transaction: Transaction, products: Sequence[ProductRow]) -> int:
    """Write products; returns how many were new or changed."""
    columns = [list(column) for column in zip(*products, strict=True)]
    return len(await transaction.fetch(_SQL["upsert_products"], *columns))


UNITS: Mapping[str, UnitFunction] = MappingProxyType({UPSERT_PRODUCTS: upsert_products})
