"""An installation of its own with one merchant of many rows, who is moved from shard to shard."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.dsn import shard_dsn
from actors.shards.move_messages import MOST_MESSAGES
from actors.shards.placement import shard_of
from actors.shards.tenant_move import MovePolicy, TenantMoves
from actors.shards.unit import registry
from benchmarks.installation import Installation, merchant
from benchmarks.move.writers import UNITS, FollowingRunner, Writer
from config.topology_file import load_topology
from services.tenants import admin_store, move_store, store
from services.tenants.directory import TenantDirectory
from services.tenants.listing import TenantListing
from services.tenants.move_ports import MoveReport
from services.tenants.moving import TenantMoving

_PRODUCTS: Final = """
INSERT INTO {schema}.product (sku, name, description, price_minor, currency, latitude, longitude, stock)
SELECT 'sku-' || n, 'Product ' || n, repeat('Fresh from the oven. ', 5), n, 'ZAR', -26.2, 27.8, 0
FROM generate_series(0, $1 - 1) AS n
"""
_WAITING: Final = """
SELECT j.message_id FROM spaza.journal j WHERE j.tenant_id = $1 AND j.queue = 'notifications.whatsapp' AND NOT EXISTS (
    SELECT FROM spaza.settlement s WHERE s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq)
ORDER BY j.seq
"""
_SETTLE: Final = """
INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)
SELECT published_on, queue, partition, seq, 'acknowledged', '', 1 FROM spaza.journal WHERE tenant_id = $1
ON CONFLICT DO NOTHING
"""


class Accounts(NamedTuple):
    """What was confirmed to the writers against what is there after it.

    Attributes:
        lost: confirmed and not there, as a row, in its writer's count, or as a message.
        doubled: there more than once.
        disordered: messages behind a later one of their key.
    """

    written: int
    lost: int
    doubled: int
    disordered: int


class Ground:
    """A server of its own, with a merchant. Any method but ``prepare`` wants that first."""

    def __init__(self, folder: Path, *, rows: int) -> None:
        self._installation = Installation(folder)
        self._rows = rows
        # By the writers of earlier turns.
        self._counted = 0
        self.tenant_id = ""
        self.shard = 0

    async def prepare(self) -> None:
        """Make the databases ready, and the merchant with its rows."""
        await self._installation.prepare()
        topology = load_topology()
        units = registry(store.UNITS, admin_store.UNITS, move_store.UNITS, UNITS)
        self._pools = self._installation.pools(units, TransactionalPublisher(topology))
        self.runner = FollowingRunner(self._pools)
        directory = TenantDirectory(self.runner)
        provisioning = self._installation.provisioning(self.runner, directory)
        made = await provisioning.provision(merchant(), idempotency_key="bench")
        self.tenant_id, self.shard = made.tenant_id, shard_of(made.tenant_id)
        queues = [queue.name for queue in topology.sources() if queue.partition_by == "shard"]
        # Nothing is delivered while it moves, so that all messages wait.
        moves = TenantMoves(self._installation.dsn, queues, MovePolicy(most_messages=MOST_MESSAGES))
        self._moving = TenantMoving(self.runner, TenantListing(self.runner), moves, directory)
        await self._do(self.shard, _PRODUCTS.replace("{schema}", f"tenant_{self.tenant_id}"), self._rows)

    async def move(self, shard: int) -> MoveReport:
        """Move the merchant."""
        report = await self._moving.move(self.tenant_id, shard)
        self.shard = report.shard
        return report

    async def deliver(self) -> None:
        """Settle all messages that wait, as their consumer would, so that they do not pile up over the moves."""
        await self._do(self.shard, _SETTLE, self.tenant_id)

    async def account(self, writers: list[Writer]) -> Accounts:
        """Hold what the writers were told against what is there; they have stopped."""
        schema = f"tenant_{self.tenant_id}"
        there: Counter[str] = Counter()
        messages: list[str] = []
        connection = await asyncpg.connect(shard_dsn(self._installation.dsn, self.shard))
        try:
            for (sku,) in await connection.fetch(f"SELECT sku FROM {schema}.product WHERE sku NOT LIKE 'sku-%'"):
                there[sku] += 1
            counts = await connection.fetch(f"SELECT sku, stock FROM {schema}.product WHERE stock > 0")
            messages = [row[0] for row in await connection.fetch(_WAITING, self.tenant_id)]
        finally:
            await connection.close()
        written = [sku for writer in writers for sku in writer.written]
        counted = sum(row["stock"] for row in counts)
        waits = Counter(messages)
        lost = sum(not there[sku] for sku in written) + sum(not waits[sku] for sku in written)
        # Of this turn alone; each writer has counted in a row of its own.
        counted -= self._counted
        self._counted += counted
        doubled = sum(number > 1 for number in waits.values()) + max(0, counted - len(written))
        return Accounts(len(written), lost + max(0, len(written) - counted), doubled, _disordered(messages))

    async def stop(self) -> None:
        """End it all."""
        if hasattr(self, "_pools"):
            await self._pools.aclose()
        await asyncio.to_thread(self._installation.stop)

    async def _do(self, shard: int, statement: str, *arguments: Any) -> None:
        connection = await asyncpg.connect(shard_dsn(self._installation.dsn, shard))
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()


def _disordered(messages: list[str]) -> int:
    latest: dict[str, str] = {}
    disordered = 0
    for message in messages:
        key = message.partition(".")[0]
        disordered += message < latest.get(key, "")
        latest[key] = max(message, latest.get(key, ""))
    return disordered
