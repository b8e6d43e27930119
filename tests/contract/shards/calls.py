"""Units of work for the contract tests, and a short way to call them."""

from typing import Any

from actors.shards.pool import ShardPools
from actors.shards.unit import Transaction, UnitCall, UnitFunction, UnitOutcome

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


UNITS: dict[str, UnitFunction] = {
    "add": add, "skus": skus, "backend": backend, "statement": statement, "script": script,
}  # fmt: skip


async def run(
    pools: ShardPools, name: str, tenant_id: str, arguments: Any = None, *, shard: int = 3, timeout_s: float = 5.0
) -> UnitOutcome:
    (outcome,) = await pools.run([UnitCall(name, shard, tenant_id, arguments)], timeout_s)
    return outcome


async def value(pools: ShardPools, name: str, tenant_id: str, arguments: Any = None) -> Any:
    return (await run(pools, name, tenant_id, arguments)).unwrap()
