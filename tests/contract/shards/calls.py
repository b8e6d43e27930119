"""Units of work for the contract tests, and a short way to call them."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from actors.shards.pool import ShardPools
from actors.shards.unit import Transaction, UnitCall, UnitFunction, UnitOutcome

# For what is to happen, however busy the machine is.
PATIENCE_S: Final = 60.0
PRODUCT = (
    "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
    " VALUES ($1, $1, 1, 'ZAR', 0, 0)"
)


async def add(transaction: Transaction, sku: str) -> None:
    await transaction.execute(PRODUCT, sku)


async def skus(transaction: Transaction, _arguments: Any) -> list[str]:
    return [row["sku"] for row in await transaction.fetch("SELECT sku FROM {schema}.product ORDER BY sku")]


async def backend(transaction: Transaction, _arguments: Any) -> int:
    pid: int = (await transaction.fetchrow("SELECT pg_backend_pid()"))[0]
    return pid


async def statement(transaction: Transaction, text: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await transaction.fetch(text)]


async def script(transaction: Transaction, text: str) -> None:
    await transaction.execute(text)


class Stay:
    """Of units that stay until told otherwise: how many have come."""

    def __init__(self) -> None:
        self.come = 0
        self.may_end = asyncio.Event()

    async def stay(self, transaction: Transaction, _arguments: Any) -> None:
        await transaction.execute("SELECT 1")
        self.come += 1
        await self.may_end.wait()

    async def have_come(self, number: int) -> None:
        await until(lambda: self.come >= number)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


UNITS: dict[str, UnitFunction] = {
    "add": add, "skus": skus, "backend": backend, "statement": statement, "script": script,
}  # fmt: skip


async def run(
    pools: ShardPools,
    name: str,
    tenant_id: str,
    arguments: Any = None,
    *,
    shard: int = 3,
    timeout_s: float = PATIENCE_S,
) -> UnitOutcome:
    (outcome,) = await pools.run([UnitCall(name, shard, tenant_id, arguments)], timeout_s)
    return outcome


async def value(pools: ShardPools, name: str, tenant_id: str, arguments: Any = None) -> Any:
    return (await run(pools, name, tenant_id, arguments)).unwrap()
