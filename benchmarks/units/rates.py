"""Units of work a second: through one ShardPool actor in batches, and on bare asyncpg."""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.handle import ShardsHandle
from actors.shards.roles import APP_ROLE
from actors.shards.transaction import ShardTransaction, begin_statement
from actors.shards.unit import UnitCall
from benchmarks.units.functions import FUNCTIONS, PRODUCTS
from benchmarks.units.ground import SHARD

_WARM_S = 0.7
_TIMEOUT_S = 30.0


class BareAsyncpg:
    """As many connections as the lane has, each busy all the time: begin with the tenant, the function, commit.

    The begin and the tenant go in one text, as they do in a lane, and nothing is reset between units: the least that
    the same transactions can cost.
    """

    def __init__(self, access: ShardAccess, tenants: Sequence[str]) -> None:
        self._access, self._tenants = access, tenants

    async def per_s(self, name: str, seconds: float) -> float:
        """Units a second of a function."""
        limits = self._access.limits
        pool = await asyncpg.create_pool(
            shard_dsn(self._access.dsn_template, SHARD, APP_ROLE, self._access.app_password),
            min_size=limits.app_connections,
            max_size=limits.app_connections,
            connection_class=_Unsuspecting,
            reset=_no_reset,
            statement_cache_size=limits.statements,
            server_settings={"jit": "off", "plan_cache_mode": "force_generic_plan"},
        )
        try:
            await self._run(pool, name, _WARM_S)
            started = time.perf_counter()
            units = await self._run(pool, name, seconds)
            return units / (time.perf_counter() - started)
        finally:
            await pool.close()

    async def _run(self, pool: "asyncpg.Pool[Any]", name: str, seconds: float) -> int:
        until, function, dice = time.perf_counter() + seconds, FUNCTIONS[name], random.Random(1)

        async def worker() -> int:
            units = 0
            while time.perf_counter() < until:
                tenant = dice.choice(self._tenants)
                async with pool.acquire() as connection:
                    await connection.execute(begin_statement(tenant))
                    await function(ShardTransaction(connection, SHARD, tenant, None), f"sku-{dice.randrange(PRODUCTS)}")
                    await connection.execute("COMMIT")
                units += 1
            return units

        return sum(await asyncio.gather(*(worker() for _ in range(self._access.limits.app_connections))))


class ThroughActor:
    """Callers of one process that each wait for a batch of units before they send the next."""

    def __init__(self, shards_per_actor: int, tenants: Sequence[str]) -> None:
        self._handle, self._tenants = ShardsHandle(shards_per_actor), tenants

    async def per_s(self, name: str, batch: int, seconds: float) -> float:
        """Units a second of a function, so many a call."""
        await self._run(name, batch, _WARM_S)
        started = time.perf_counter()
        units = await self._run(name, batch, seconds)
        return units / (time.perf_counter() - started)

    async def _run(self, name: str, batch: int, seconds: float) -> int:
        until, dice = time.perf_counter() + seconds, random.Random(1)

        async def caller() -> int:
            units = 0
            while time.perf_counter() < until:
                calls = [
                    UnitCall(name, SHARD, dice.choice(self._tenants), f"sku-{dice.randrange(PRODUCTS)}")
                    for _ in range(batch)
                ]
                for outcome in await self._handle.run(calls, timeout_s=_TIMEOUT_S):
                    outcome.unwrap()
                units += batch
            return units

        return sum(await asyncio.gather(*(caller() for _ in range(callers(batch)))))


def callers(batch: int) -> int:
    """How many calls are under way: so many that 16 units are, and two at least, so that one is always ready."""
    return max(2, 16 // batch)


class _Unsuspecting(asyncpg.Connection):
    def suspect(self) -> None:
        """What a lane's connection remembers; nobody asks here."""


async def _no_reset(_connection: Any) -> None:
    return
