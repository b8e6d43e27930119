"""Writers of one tenant that believe it never moves, and what they were told is there."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from actors.mailbox.message import Message
from actors.shards.following import Following, has_moved
from actors.shards.pool import ShardPools
from actors.shards.unit import Transaction, UnitCall, UnitFunction, UnitOutcome

WRITE: Final = "bench.write"
_PRODUCT: Final = (
    "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
    " VALUES ($1, 'Bread', 1999, 'ZAR', -26.2, 27.8)"
)
_COUNT: Final = "UPDATE {schema}.product SET stock = coalesce(stock, 0) + 1 WHERE sku = $1"
_UNIT_S: Final = 10.0


async def write(transaction: Transaction, sku: str) -> None:
    """Add a row, change the writer's own row, and publish a message with it."""
    name = sku.partition(".")[0]
    await transaction.execute(_PRODUCT, sku)
    await transaction.execute(_COUNT, f"sku-{int(name)}")
    message = Message(sku, name, transaction.tenant_id, b"{}", {}, time.time())
    await transaction.publish("notifications", "outgoing.reply", [message])


UNITS: Final[Mapping[str, UnitFunction]] = MappingProxyType({WRITE: write})


class FollowingRunner:
    """Runs units in this process as ``ShardsHandle`` does through Ray: those whose tenant has moved go after it."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools
        self._following = Following(self._once)

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        outcomes = await self._once(calls, timeout_s)
        if any(map(has_moved, outcomes)):
            await self._following.follow(calls, outcomes, timeout_s)
        return outcomes

    async def _once(self, calls: Sequence[UnitCall], timeout_s: float) -> list[UnitOutcome]:
        return list(await self._pools.run(calls, timeout_s))


class Writer:
    """Writes one unit after the other.

    Attributes:
        written: what was confirmed, in order.
        failures: errors other than that the tenant is just being moved, after which it comes again.
        slowest_ms: the longest that it waited for one.
    """

    def __init__(self, runner: FollowingRunner, tenant_id: str, shard: int, name: str) -> None:
        self._runner, self._tenant_id, self._shard, self._name = runner, tenant_id, shard, name
        self.stopped = False
        self.written: list[str] = []
        self.failures: list[Any] = []
        self.slowest_ms = 0.0

    async def run(self) -> None:
        """Until ``stopped``."""
        while not self.stopped:
            sku, began = f"{self._name}.{len(self.written):07d}", time.perf_counter()
            while not self.stopped:
                call = UnitCall(WRITE, self._shard, self._tenant_id, sku)
                [outcome] = await self._runner.run([call], timeout_s=_UNIT_S)
                if outcome.error is None:
                    self.written.append(sku)
                    break
                if not has_moved(outcome):
                    self.failures.append(outcome.error)
                    break
            self.slowest_ms = max(self.slowest_ms, (time.perf_counter() - began) * 1000)
            await asyncio.sleep(0)
