"""A real shard with tenants, and the units of work of WhatsApp and of notifications on it."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.pool import ShardPools
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from actors.shards.unit import UnitCall, UnitOutcome, registry
from cluster.postgres import PostgresServer
from config.topology import DECLARED
from config.topology_file import load_topology
from kernel.identifiers import new_id
from services.notifications.store import UNITS as NOTIFICATION_UNITS
from services.notifications.store import RecordArguments, record_call
from services.whatsapp.store import UNITS as WHATSAPP_UNITS
from services.whatsapp.store import StatusesArguments, statuses_call
from tests.servers import postgres

KEY = base64.b64encode(b"k" * 32).decode()
SHARD = 5


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres(tmp_path_factory.mktemp("pg")) as started:
        asyncio.run(set_up_shards(started.dsn, KEY))
        yield started


class Shop:
    """A tenant on a real shard, and a way to run units for it and to look at its rows as the owner."""

    def __init__(self, pools: ShardPools, owner: "asyncpg.Connection[Any]", tenant_id: str) -> None:
        self._pools, self._owner, self.tenant_id = pools, owner, tenant_id

    async def outcome(self, unit: str, arguments: Any) -> UnitOutcome:
        return (await self._pools.run([self._call(unit, arguments)], 60.0))[0]

    async def run(self, unit: str, arguments: Any) -> Any:
        return (await self.outcome(unit, arguments)).unwrap()

    async def at_once(self, *calls: tuple[str, Any]) -> list[UnitOutcome]:
        return await self._pools.run([self._call(unit, given) for unit, given in calls], 60.0)

    async def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        """Rows as the owner sees them, who stands above row level security; ``{schema}`` is the tenant's."""
        found = await self._owner.fetch(query.replace("{schema}", f"tenant_{self.tenant_id}"), *arguments)
        return [dict(row) for row in found]

    def _call(self, unit: str, arguments: Any) -> UnitCall:
        if isinstance(arguments, RecordArguments):
            return record_call(SHARD, self.tenant_id, arguments)
        if isinstance(arguments, StatusesArguments):
            return statuses_call(SHARD, self.tenant_id, arguments)
        return UnitCall(unit, SHARD, self.tenant_id, arguments)


@pytest.fixture
async def pools(server: PostgresServer) -> AsyncIterator[ShardPools]:
    access = ShardAccess.derive(server.dsn, KEY)
    made = ShardPools(
        access, [SHARD], registry(WHATSAPP_UNITS, NOTIFICATION_UNITS), TransactionalPublisher(load_topology(DECLARED))
    )
    yield made
    await made.aclose()


@pytest.fixture
async def owner(server: PostgresServer) -> "AsyncIterator[asyncpg.Connection[Any]]":
    connection = await asyncpg.connect(shard_dsn(server.dsn, SHARD))
    yield connection
    await connection.close()


@pytest.fixture
async def shop(server: PostgresServer, pools: ShardPools, owner: "asyncpg.Connection[Any]") -> Shop:
    tenant_id = new_id()
    await TenantSchemas(server.dsn).create(tenant_id, SHARD)
    return Shop(pools, owner, tenant_id)
