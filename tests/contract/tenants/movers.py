"""A mover of tenants over the pools of real databases, and what can be seen of a tenant from outside."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Self

import asyncpg

from actors.mailbox.message import Message
from actors.mailbox.transactional import TransactionalPublisher
from actors.shards.access import ShardAccess
from actors.shards.dsn import shard_dsn
from actors.shards.following import Following, has_moved
from actors.shards.placement import SHARDS, shard_of
from actors.shards.pool import ShardPools
from actors.shards.release_register import QUERIES as MIGRATION
from actors.shards.tenant_move import MovePolicy, TenantMoves
from actors.shards.unit import Transaction, UnitCall, UnitFunction, UnitOutcome
from config.topology_file import load_topology
from kernel.identifiers import new_id
from services.tenants.directory import DirectoryPolicy, TenantDirectory
from services.tenants.listing import TenantListing
from services.tenants.move_ports import Moves
from services.tenants.moving import TenantMoving
from services.units import UNITS
from tests.contract.tenants.bench import KEY
from tests.contract.tenants.meddling import Meddle, MeddledMoves

QUEUES: Final = ("notifications.whatsapp", "orders.process")
_INBOUND: Final = (
    "INSERT INTO spaza.inbound_message (tenant_id, message_id, sent_at, kind, body, received_at)"
    " SELECT $1, 'wamid.' || n || '.' || $3, now(), 'text', 'body'::bytea, now() FROM generate_series(1, $2::int) AS n"
)
_PRODUCT: Final = (
    "INSERT INTO {schema}.product (sku, name, price_minor, currency, latitude, longitude)"
    " VALUES ($1, $1, 1, 'ZAR', 0, 0)"
)


async def write(transaction: Transaction, sku: str) -> None:
    """Add a product, change another, and publish a message, as a unit that does something does."""
    await transaction.execute(_PRODUCT, sku)
    await transaction.execute("UPDATE {schema}.product SET stock = coalesce(stock, 0) + 1 WHERE sku = 'counted'")
    message = Message(sku, f"key-{sku.partition('.')[0]}", transaction.tenant_id, b"{}", {}, 1_790_000_000.0)
    await transaction.publish("notifications", "outgoing.reply", [message])


async def receive(transaction: Transaction, count: int) -> None:
    """Note inbound messages."""
    await transaction.execute("SELECT 1 FROM {schema}.profile")
    await transaction.execute(_INBOUND, transaction.tenant_id, count, new_id())


async def execute(transaction: Transaction, statement: str) -> None:
    """Run a statement."""
    await transaction.execute(statement)


class Stay:
    """Of a unit in the tenant's schema: when it has come in, and when it may go."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()


async def dawdle(transaction: Transaction, stay: Stay) -> None:
    """Read, and stay until told otherwise."""
    await transaction.fetch("SELECT 1 FROM {schema}.profile")
    stay.begun.set()
    await stay.may_end.wait()


OWN_UNITS: Final[dict[str, UnitFunction]] = {
    "write": write, "receive": receive, "execute": execute, "dawdle": dawdle,
}  # fmt: skip
# A busy machine may take its time where a test is about something else.
PATIENT: Final = MovePolicy(drain_s=60.0, freeze_s=60.0, follow_s=60.0, partition_s=60.0, let_in_s=60.0, clear_s=60.0)
_PATIENCE_S: Final = 60.0


class FollowingRunner:
    """Runs units on pools as ``ShardsHandle`` does: those whose tenant has moved go after it."""

    def __init__(self, pools: ShardPools) -> None:
        self._pools = pools
        self._following = Following(self._once)
        self.followed = 0

    async def run(self, calls: Sequence[UnitCall], *, timeout_s: float) -> list[UnitOutcome]:
        outcomes = await self._once(calls, timeout_s)
        self.followed += sum(map(has_moved, outcomes))
        await self._following.follow(calls, outcomes, timeout_s)
        return outcomes

    async def _once(self, calls: Sequence[UnitCall], timeout_s: float) -> list[UnitOutcome]:
        return list(await self._pools.run(calls, timeout_s))


class Mover:
    """Moves tenants of an installation. Holds connections until ``aclose``."""

    def __init__(self, dsn: str, policy: MovePolicy = PATIENT) -> None:
        self.dsn = dsn
        publisher = TransactionalPublisher(load_topology())
        self.pools = ShardPools(ShardAccess.derive(dsn, KEY), range(SHARDS), {**UNITS, **OWN_UNITS}, publisher)
        self.runner = FollowingRunner(self.pools)
        self._directory = TenantDirectory(self.runner, policy=DirectoryPolicy(local_s=0, local_absent_s=0))
        self.moves = TenantMoves(dsn, QUEUES, policy=policy)
        self.moving = self._by(self.moves)

    async def aclose(self) -> None:
        await self.pools.aclose()

    def meddled(self, step: str, *, before: Meddle | None = None, after: Meddle | None = None) -> TenantMoving:
        """Moves tenants, and once something is done before or after a step."""
        return self._by(MeddledMoves(self.moves, step, before=before, after=after))

    async def run(self, name: str, tenant_id: str, shard: int, arguments: Any) -> UnitOutcome:
        """Run a unit on one shard, wherever the tenant is."""
        [outcome] = await self.pools.run([UnitCall(name, shard, tenant_id, arguments)], _PATIENCE_S)
        return outcome

    async def follow(self, name: str, tenant_id: str, shard: int, arguments: Any) -> UnitOutcome:
        """Run a unit where the tenant is, asking on this shard first."""
        calls = [UnitCall(name, shard, tenant_id, arguments)]
        [outcome] = await self.runner.run(calls, timeout_s=_PATIENCE_S)
        return outcome

    async def receive(self, tenant_id: str, shard: int, count: int) -> None:
        (await self.run("receive", tenant_id, shard, count)).unwrap()

    async def fetch(self, shard: int, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(shard_dsn(self.dsn, shard))
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def execute(self, shard: int, statement: str) -> None:
        """As the owner of a shard's database."""
        await self.fetch(shard, statement)

    async def counter(self, tenant_id: str, shard: int) -> None:
        """Make the product that every ``write`` changes."""
        product = _PRODUCT.replace("$1", "'counted'")
        (await self.run("execute", tenant_id, shard, product)).unwrap()

    async def counted(self, tenant_id: str, shard: int) -> int:
        """How many writes there were."""
        [row] = await self.fetch(shard, f"SELECT stock FROM tenant_{tenant_id}.product WHERE sku = 'counted'")
        stock: int = row[0]
        return stock

    async def skus(self, tenant_id: str, shard: int, pattern: str = "%") -> list[str]:
        """The products that were written, or those of a pattern, by name."""
        where = "sku LIKE $1 AND (sku NOT LIKE 'sku-%' OR $1 <> '%') AND sku <> 'counted'"
        rows = await self.fetch(shard, f"SELECT sku FROM tenant_{tenant_id}.product WHERE {where}", pattern)
        return sorted(row[0] for row in rows)

    async def owns(self, queue: str, shard: int, *, clock_s: float) -> None:
        """Have somebody own a partition."""
        await self.execute(
            shard,
            "INSERT INTO spaza.mailbox_owner"
            " (queue, partition, epoch, owner, lease_until, low_water, swept_to, clock_s)"
            f" VALUES ('{queue}', {shard}, 1, 'somebody', now() + interval '5 s', 0, '0', {clock_s})"
            f" ON CONFLICT (queue, partition) DO UPDATE SET epoch = 1, owner = 'somebody', clock_s = {clock_s}",
        )

    async def owner(self, queue: str, shard: int) -> tuple[int, str]:
        """Epoch and owner of a partition."""
        statement = "SELECT epoch, owner FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2"
        [row] = await self.fetch(shard, statement, queue, shard)
        return row[0], row[1]

    @asynccontextmanager
    async def holding(self, queue: str, shard: int) -> AsyncIterator[None]:
        """As if a partition's owner did not come to an end with something."""
        connection = await asyncpg.connect(shard_dsn(self.dsn, shard))
        try:
            async with connection.transaction():
                await connection.execute(
                    "SELECT 1 FROM spaza.mailbox_owner WHERE queue = $1 AND partition = $2 FOR UPDATE", queue, shard
                )
                yield
        finally:
            await connection.close()

    @asynccontextmanager
    async def locked(self, tenant_id: str, shard: int) -> AsyncIterator[None]:
        """As if somebody migrated the tenant."""
        connection = await asyncpg.connect(shard_dsn(self.dsn, shard))
        try:
            async with connection.transaction():
                await connection.execute(MIGRATION["lock_scope"], f"tenant_{tenant_id}")
                yield
        finally:
            await connection.close()

    @asynccontextmanager
    async def away(self, shard: int) -> AsyncIterator[None]:
        """A shard whose database takes nobody up, and has thrown out who moves."""
        connection = await asyncpg.connect(shard_dsn(self.dsn, (shard + 1) % SHARDS))
        try:
            await connection.execute(f"ALTER DATABASE shard_{shard:02d} ALLOW_CONNECTIONS false")
            for pid in await self.sessions(shard):
                await connection.execute("SELECT pg_terminate_backend($1, 5000)", pid)
            yield
        finally:
            await connection.execute(f"ALTER DATABASE shard_{shard:02d} ALLOW_CONNECTIONS true")
            await connection.close()

    async def sessions(self, shard: int) -> list[int]:
        """The server's processes that move something from or to a shard."""
        rows = await self.fetch(
            (shard + 1) % SHARDS,
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'spaza move' AND datname = $1",
            f"shard_{shard:02d}",
        )
        return [row[0] for row in rows]

    async def contents(self, tenant_id: str, shard: int) -> dict[str, list[str]]:
        """All rows of a tenant on a shard, by table, without messages."""
        schema = f"tenant_{tenant_id}"
        tables = await self.fetch(shard, "SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
        found = {
            name: [row[0] for row in await self.fetch(shard, f"SELECT t::text FROM {schema}.{name} t ORDER BY 1")]
            for (name,) in tables
        }
        inbound = "SELECT t::text FROM spaza.inbound_message t WHERE tenant_id = $1 ORDER BY 1"
        return {**found, "inbound_message": [row[0] for row in await self.fetch(shard, inbound, tenant_id)]}

    async def leftovers(self, tenant_id: str, shard: int) -> list[str]:
        """What a shard still has of a tenant that does not live there."""
        rows = await self.fetch(
            shard,
            "SELECT 'schema' FROM pg_namespace WHERE nspname = 'tenant_' || $1"
            " UNION ALL SELECT 'version' FROM spaza.schema_version WHERE scope = 'tenant_' || $1"
            " UNION ALL SELECT 'inbound' FROM spaza.inbound_message WHERE tenant_id = $1"
            " UNION ALL SELECT 'message' FROM spaza.journal j WHERE tenant_id = $1 AND NOT EXISTS ("
            "  SELECT FROM spaza.settlement s WHERE s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq)",
            tenant_id,
        )
        return [row[0] for row in rows]

    async def waiting(self, tenant_id: str, shard: int) -> list[str]:
        """Ids of messages that wait on a shard, in their order."""
        rows = await self.fetch(
            shard,
            "SELECT message_id FROM spaza.journal j WHERE tenant_id = $1 AND NOT EXISTS ("
            "  SELECT FROM spaza.settlement s WHERE s.queue = j.queue AND s.partition = j.partition AND s.seq = j.seq)"
            " ORDER BY seq",
            tenant_id,
        )
        return [row[0] for row in rows]

    async def end_left(self, tenant_id: str) -> None:
        """End what is left of a tenant's move; the server takes a moment to see that a mover has gone."""
        async with asyncio.timeout(_PATIENCE_S):
            while await self.move_of(tenant_id) is not None:
                await self.moving.end_all_left()

    async def move_of(self, tenant_id: str) -> str | None:
        """The step of a move that is under way, by the placement."""
        [row] = await self.fetch(
            shard_of(tenant_id), "SELECT move_step FROM spaza.tenant_placement WHERE tenant_id = $1", tenant_id
        )
        step: str | None = row[0]
        return step

    async def home(self, tenant_id: str) -> int:
        """Where the tenant lives, by the placement."""
        [row] = await self.fetch(
            shard_of(tenant_id), "SELECT shard FROM spaza.tenant_placement WHERE tenant_id = $1", tenant_id
        )
        shard: int = row[0]
        return shard

    def _by(self, moves: Moves) -> TenantMoving:
        return TenantMoving(self.runner, TenantListing(self.runner), moves, self._directory)


class Writer:
    """Writes for a tenant, one unit after the other, as somebody who believes that it never moves.

    Attributes:
        written: what was confirmed, in order.
        failures: what was not, once the tenant had been waited for.
    """

    def __init__(self, mover: Mover, tenant_id: str, shard: int, name: str) -> None:
        self.name = name
        self._mover, self._tenant_id, self._shard = mover, tenant_id, shard
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self.written: list[str] = []
        self.failures: list[Exception] = []

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._write())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._stopped = True
        await self._task

    async def goes_on(self) -> None:
        """Wait until it has written once more."""
        written = len(self.written)
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.written) == written:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)

    async def _write(self) -> None:
        while not self._stopped:
            sku = f"{self.name}.{len(self.written):05d}"
            outcome = await self._mover.follow("write", self._tenant_id, self._shard, sku)
            if outcome.error is None:
                self.written.append(sku)
            elif not has_moved(outcome):
                self.failures.append(outcome.error)


def other_than(tenant_id: str, by: int = 7) -> int:
    """A shard that is not the tenant's own."""
    return (shard_of(tenant_id) + by) % SHARDS
