"""Real shards for contract tests: one server for the run, with all databases set up, and tenants as needed."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import asyncpg
import pytest

from actors.shards.access import PoolLimits, ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.pool import ShardPools
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.transaction import Publisher
from actors.shards.unit import UnitFunction
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.servers import postgres

KEY = base64.b64encode(b"k" * 32).decode()
SHARD = 3


class Shards(NamedTuple):
    server: PostgresServer
    key: str

    @property
    def dsn(self) -> str:
        return self.server.dsn

    async def as_owner(self, shard: int = SHARD) -> "asyncpg.Connection[Any]":
        return await asyncpg.connect(shard_dsn(self.dsn, shard))


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    with postgres(tmp_path_factory.mktemp("pg")) as server:
        asyncio.run(set_up_shards(server.dsn, KEY))
        yield Shards(server, KEY)


MakePools = Callable[..., ShardPools]


@pytest.fixture
async def make_pools(shards: Shards) -> AsyncIterator[MakePools]:
    """Makes pools over some units; they are closed after the test."""
    made: list[ShardPools] = []

    def make(
        units: dict[str, UnitFunction],
        *,
        limits: PoolLimits | None = None,
        publisher: Publisher | None = None,
        dsn: str | None = None,
    ) -> ShardPools:
        access = ShardAccess.derive(shards.dsn if dsn is None else dsn, shards.key, limits)
        made.append(ShardPools(access, range(32), units, publisher))
        return made[-1]

    yield make
    for pools in made:
        await pools.aclose()


MakeTenant = Callable[[], Awaitable[str]]


@pytest.fixture
def make_tenant(shards: Shards) -> MakeTenant:
    """Makes a tenant's schema on the shard of these tests and gives its id."""

    async def make() -> str:
        tenant_id = new_id()
        await TenantSchemas(shards.dsn).create(tenant_id, SHARD)
        return tenant_id

    return make
