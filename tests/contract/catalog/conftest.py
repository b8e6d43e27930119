"""Merchants with products, on real shards and in memory."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Protocol

import pytest

from actors.shards.access import ShardAccess
from actors.shards.pool import ShardPools
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import Transaction, UnitCall, registry
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from services.catalog import store as catalog
from services.catalog.ports import ProductSearch, Shelf
from services.catalog.schemas import ProductSpec
from services.catalog.search import ShardProductSearch
from services.catalog.service import Catalog
from services.tenants import store as tenants
from tests.memory_search import InMemoryProductSearch
from tests.provisioned import PoolRunner
from tests.servers import postgres

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
SHARD = 3
# Orlando West, where the shop is.
HOME = (-26.2485, 27.8540)


async def write_as_earlier_code(transaction: Transaction, name: str) -> None:
    """A product as it was written before there were words, which may happen while a release goes out."""
    await transaction.execute(
        "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
        " VALUES ('earlier', $1, 1, 'ZAR', -26.2485, 27.8540)",
        name,
    )


class Shop(Protocol):
    """A search and a way to fill the shelves behind it."""

    search: ProductSearch

    async def open(self) -> Shelf:
        """A merchant with an empty shelf."""

    async def put(self, shelf: Shelf, products: Sequence[ProductSpec]) -> None:
        """Write products."""

    async def remove(self, shelf: Shelf, sku: str) -> None:
        """Take one away."""


class MemoryShop:
    def __init__(self) -> None:
        self._memory = InMemoryProductSearch(HOME)
        self.search: ProductSearch = self._memory

    async def open(self) -> Shelf:
        return Shelf(new_id(), SHARD)

    async def put(self, shelf: Shelf, products: Sequence[ProductSpec]) -> None:
        self._memory.put(shelf, products)

    async def remove(self, shelf: Shelf, sku: str) -> None:
        self._memory.remove(shelf, sku)


class ShardShop:
    def __init__(self, dsn: str) -> None:
        access = ShardAccess.derive(dsn, KEY)
        units = registry(catalog.UNITS, tenants.UNITS, {"write_as_earlier_code": write_as_earlier_code})
        self.pools = ShardPools(access, range(32), units, None)
        self.runner = PoolRunner(self.pools)
        self._schemas = TenantSchemas(dsn)
        self.search: ProductSearch = ShardProductSearch(self.runner)
        self.catalog = Catalog(self.runner, self.search)

    async def open(self) -> Shelf:
        shelf = Shelf(new_id(), SHARD)
        await self._schemas.create(shelf.tenant_id, shelf.shard)
        profile = tenants.Profile("Thandi's Spaza", *HOME, "sealed", None, None, None, None)
        call = UnitCall(tenants.WRITE_PROFILE, shelf.shard, shelf.tenant_id, profile)
        (outcome,) = await self.runner.run([call], timeout_s=60)
        outcome.unwrap()
        return shelf

    async def put(self, shelf: Shelf, products: Sequence[ProductSpec]) -> None:
        await self.catalog.upsert_products(*shelf[:2], products)

    async def remove(self, shelf: Shelf, sku: str) -> None:
        await self.catalog.delete(shelf, sku)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres(tmp_path_factory.mktemp("pg")) as started:
        asyncio.run(set_up_shards(started.dsn, KEY))
        yield started


@pytest.fixture
async def shard_shop(server: PostgresServer) -> AsyncIterator[ShardShop]:
    shop = ShardShop(server.dsn)
    yield shop
    await shop.pools.aclose()


@pytest.fixture(params=["memory", "shards"])
def shop(request: pytest.FixtureRequest) -> Shop:
    if request.param == "memory":
        return MemoryShop()
    made: Shop = request.getfixturevalue("shard_shop")
    return made
