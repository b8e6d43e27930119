"""The functions that are run on both sides, and what the ShardPool actors of this benchmark know."""

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from actors.shards.shard_query import OrderBy, PageWanted, ShardQuery
from actors.shards.unit import Transaction, UnitFunction

READ: Final = "bench.read"
CHANGE: Final = "bench.change"
TIMES: Final = "bench.times"
PRODUCTS: Final = 100


class Placed(NamedTuple):
    tenant_id: str
    name: str
    placed_at: Any


TOP = ShardQuery(
    "bench.top",
    "SELECT tenant_id, name, placed_at FROM spaza.tenant_placement",
    Placed,
    (OrderBy("tenant_id", str, descending=True, any_collation=True),),
)
# When the last page of each shard of this process was there, by the machine's monotonic clock.
_there: dict[int, float] = {}


async def read(transaction: Transaction, sku: str) -> int:
    """One statement that writes nothing."""
    row = await transaction.fetchrow("SELECT stock FROM {schema}.product WHERE sku = $1", sku)
    return int(row[0])


async def change(transaction: Transaction, sku: str) -> int:
    """Two statements, the second of which decides on the first and writes."""
    row = await transaction.fetchrow("SELECT stock FROM {schema}.product WHERE sku = $1 FOR UPDATE", sku)
    await transaction.execute("UPDATE {schema}.product SET stock = $2 WHERE sku = $1", sku, row[0] + 1)
    return int(row[0])


async def top(transaction: Transaction, wanted: PageWanted) -> list[tuple[Any, ...]]:
    """The query's own unit, with a look at the clock."""
    rows = await TOP.run(transaction, wanted)
    _there[transaction.shard] = time.monotonic()
    return rows


async def times(transaction: Transaction, _arguments: None) -> float:
    """When this shard's last page was there."""
    return _there[transaction.shard]


FUNCTIONS: Final[Mapping[str, UnitFunction]] = {READ: read, CHANGE: change}
UNITS: Final[Mapping[str, UnitFunction]] = {**FUNCTIONS, TOP.name: top, TIMES: times}
