"""The owner of a partition of a shard's own, and a consumer that takes what it delivers one by one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from actors.mailbox.access import JournalAccess
from actors.mailbox.connections import Connections
from actors.mailbox.message import Delivery, ack
from actors.mailbox.ownership import OwnershipPolicy, PartitionPolicy, State
from actors.mailbox.partition import Partition
from actors.mailbox.postgres_journal import Patience, PostgresJournal
from actors.mailbox.window import Window
from actors.shards.access import ShardAccess
from config.topology import Queue
from tests.contract.tenants.bench import KEY

_PATIENCE_S: Final = 60.0
_SOON: Final = PartitionPolicy(OwnershipPolicy(lease_s=20.0, tick_s=0.05, passive_s=0.05))


class Receiver:
    """What one partition of a queue delivers."""

    def __init__(self, partition: Partition, window: Window) -> None:
        self._partition, self._window = partition, window
        self._come: list[Delivery] = []

    async def next_of(self, tenant_id: str) -> Delivery:
        """The next delivery of a tenant, which stays under way. What other tenants have left there is settled."""
        async with asyncio.timeout(_PATIENCE_S):
            while not self._come:
                self._window.advance(time.monotonic())
                for one in self._window.take(time.monotonic()):
                    if one.message.tenant == tenant_id:
                        self._come.append(one)
                    elif (verdict := self._window.settle(one.tag, ack(), time.monotonic())) is not None:
                        self._partition.record(verdict)
                await asyncio.sleep(0.005)
        return self._come.pop(0)


@asynccontextmanager
async def receiving(dsn: str, queue: str, shard: int) -> AsyncIterator[Receiver]:
    """Own the partition of a shard, as a mailbox actor does."""
    shards = ShardAccess.derive(dsn, KEY)
    access = JournalAccess(shards.dsn_template, shards.system_password, "receiver")
    journal = PostgresJournal(
        Connections(access.dsn(shard), 3), queue, f"dlq.{queue}", shard, Patience(write_s=_PATIENCE_S)
    )
    declared = Queue.model_validate(
        {"name": queue, "bindings": [{"exchange": "x"}], "partition_by": "shard", "partitions": 32}
    )
    window = Window(declared)
    partition = Partition(
        declared, shard, journal, window, has_dead_letters=True, owner="receiver/0", policy=_SOON,
        clock=time.monotonic, wake=lambda: None,
    )  # fmt: skip
    task = asyncio.ensure_future(partition.run())
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while partition.state is not State.OWNING:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.01)
        yield Receiver(partition, window)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await partition.stop(1.0)
        await journal.aclose()
