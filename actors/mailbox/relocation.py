"""Applies a changed topology to what waits, before the mailbox actors start.

A queue that has another number of partitions, or another way to choose among them, has its messages moved to where
they belong now, in the order of their keys and under their ids. They go into the new partition first and are settled in
the old one after it, for the two may be in different databases; a move that was interrupted is repeated, and what is
there already stays as it is. The layout is noted last. A queue that was removed or renamed and still holds messages is
refused.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from actors.mailbox.errors import TopologyChangeError
from actors.mailbox.exchange import shard_of_partition
from actors.mailbox.layout import Layout, Moved, changes, layouts, left_behind
from actors.shards.finding import connect
from config.topology import Topology
from kernel.sql import load_queries
from telemetry.log import get_logger

_QUERIES = load_queries(Path(__file__).with_name("relocation.sql"))
_BATCH: Final = 500
_CONNECT_S: Final = 10.0
_log = get_logger("mailbox")
_Connection = Any


class Relocation(NamedTuple):
    """What was done: messages that were moved, by queue."""

    moved: dict[str, int]


async def apply_topology(
    topology: Topology,
    dsn_of: Callable[[int], str],
    instance_id: str,
    *,
    keep_others: bool = False,
    timeout_s: float = 300.0,
) -> Relocation:
    """Move what waits to where the topology has it. Quick if nothing has changed.

    Args:
        topology: that is to hold from now on.
        dsn_of: the database of a shard, as the tables' owner.
        instance_id: of this installation; a partition that another one holds is not touched.
        keep_others: leave queues alone that are not declared; another program's may be in these databases.
        timeout_s: for all of it.

    Raises:
        TopologyChangeError: messages would be left behind, or somebody else holds a partition. Nothing is noted then.
        TimeoutError: it took longer; the next start goes on from there.
        asyncpg.PostgresError: a database refuses.
    """
    async with asyncio.timeout(timeout_s), AsyncExitStack() as stack:
        databases = _Databases(dsn_of, stack)
        first = await databases.of(0)
        before = {row[0]: Layout(row[1], row[2]) for row in await first.fetch(_QUERIES["layout"])}
        after = layouts(topology)
        if keep_others:
            before = {name: layout for name, layout in before.items() if name in after}
        changed = changes(before, after)
        if not (changed.moved or changed.removed or changed.added):
            return Relocation({})
        faults = [
            left_behind(queue, waiting, after)
            for queue, layout in changed.removed.items()
            if (waiting := await _waiting(databases, queue, layout.partitions))
        ]
        if faults:
            raise TopologyChangeError(tuple(faults))
        moved = {one.queue: await _Move(databases, one, instance_id).run() for one in changed.moved}
        names = list(after)
        await first.execute(
            _QUERIES["keep_layout"],
            names,
            [after[name].partition_by for name in names],
            [after[name].partitions for name in names],
            not keep_others,
        )
        if before:
            _log.info("topology_applied", moved=moved, removed=list(changed.removed), added=list(changed.added))
        return Relocation(moved)


class _Databases:
    """A connection to each shard that is wanted."""

    def __init__(self, dsn_of: Callable[[int], str], stack: AsyncExitStack) -> None:
        self._dsn_of, self._stack = dsn_of, stack
        self._open: dict[int, _Connection] = {}

    async def of(self, shard: int) -> _Connection:
        if shard not in self._open:
            connection = await connect(self._dsn_of(shard), timeout_s=_CONNECT_S)
            self._stack.push_async_callback(connection.close, timeout=_CONNECT_S)
            self._open[shard] = connection
        return self._open[shard]

    async def of_partition(self, partition: int) -> _Connection:
        return await self.of(shard_of_partition(partition))


async def _waiting(databases: _Databases, queue: str, partitions: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for shard in range(min(32, partitions)):
        numbers = list(range(shard, partitions, 32))
        rows = await (await databases.of(shard)).fetch(_QUERIES["waiting"], queue, numbers)
        found.update((row[0], row[1]) for row in rows)
    return found


class _Move:
    """One queue's messages, from the partitions that it had to those that it has."""

    def __init__(self, databases: _Databases, moved: Moved, instance_id: str) -> None:
        self._databases, self._moved, self._instance_id = databases, moved, instance_id
        self._queue = moved.queue
        self._epochs: dict[int, int] = {}
        self._clocks: dict[int, float] = {}
        self._paused: set[int] = set()

    async def run(self) -> int:
        """Move all that waits; returns how many were moved."""
        before, after = self._moved.before, self._moved.after
        for number in range(max(before.partitions, after.partitions)):
            await self._fence(number)
        # An operator pauses a queue, whatever its partitions are. Before anything is moved, for it may be interrupted.
        is_paused = not self._paused.isdisjoint(range(before.partitions))
        for number in range(after.partitions):
            connection = await self._databases.of_partition(number)
            await connection.execute(_QUERIES["pause"], self._queue, number, is_paused)
        if after.partition_by == "shard":
            await self._part_from_owners_seqs()
        return sum([await self._empty(number) for number in range(before.partitions)])

    async def _fence(self, number: int) -> None:
        connection = await self._databases.of_partition(number)
        async with connection.transaction():
            owner, held, _, clock_s, paused = await connection.fetchrow(_QUERIES["lock_owner"], self._queue, number)
            if held and owner.partition("/")[0] != self._instance_id:
                raise self._refusal(
                    f"{number} is held by {owner}, so its messages cannot be moved; stop that one first"
                )
            self._epochs[number] = await connection.fetchval(_QUERIES["fence"], self._queue, number)
            self._clocks[number] = clock_s
            if paused:
                self._paused.add(number)

    async def _part_from_owners_seqs(self) -> None:
        """By key the owner numbers the messages, by shard the database does: it goes on above."""
        for shard in range(32):
            connection = await self._databases.of(shard)
            highest = await connection.fetchval(_QUERIES["highest"], self._queue)
            await connection.execute(_QUERIES["advance_sequence"], highest + 1)

    async def _empty(self, source: int) -> int:
        connection = await self._databases.of_partition(source)
        after_seq = moved = 0
        while rows := await connection.fetch(_QUERIES["page"], self._queue, source, after_seq, _BATCH):
            after_seq = rows[-1]["seq"]
            by_target: dict[int, list[Any]] = {}
            for row in rows:
                target = self._moved.partition_of(row["key"], row["tenant_id"])
                by_target.setdefault(target, []).append(row)
            for target, of_target in by_target.items():
                if target != source:
                    await self._put(source, target, of_target)
                    moved += len(of_target)
        return moved

    async def _put(self, source: int, target: int, rows: list[Any]) -> None:
        there, here = await self._databases.of_partition(target), await self._databases.of_partition(source)
        if there is here:
            async with here.transaction():
                await self._insert(there, source, target, rows)
                await self._settle(here, source, target, rows)
            return
        async with there.transaction():
            await self._insert(there, source, target, rows)
        async with here.transaction():
            await self._settle(here, source, target, rows)

    async def _insert(self, connection: _Connection, source: int, target: int, rows: list[Any]) -> None:
        await self._hold(connection, target)
        seq = await connection.fetchval(_QUERIES["next_seq"], self._queue, target)
        for row in rows:
            clock_s = row["clock_s"]
            if clock_s is not None:  # it has aged as much there as here
                clock_s += self._clocks[target] - self._clocks[source]
            given = await connection.fetchval(
                _QUERIES["insert"], self._queue, target, row["published_on"], seq, row["message_id"], row["tenant_id"],
                row["key"], row["priority"], row["published_at"], clock_s, row["ttl_ms"], row["headers"], row["body"],
                row["checksum"], row["seal"],
            )  # fmt: skip
            if given is None:
                given = await connection.fetchval(
                    _QUERIES["come_back"], self._queue, target, row["message_id"], row["published_on"]
                )
            else:
                seq += 1
            if given is not None and row["retries"] is not None:
                await connection.execute(
                    _QUERIES["remember"], self._queue, target, given, row["retries"], row["deliveries"],
                    row["not_before"], row["deferred_s"], row["reason"],
                )  # fmt: skip
        await connection.execute(_QUERIES["advance_sequence"], seq)

    async def _settle(self, connection: _Connection, source: int, target: int, rows: list[Any]) -> None:
        await self._hold(connection, source)
        await connection.execute(
            _QUERIES["settle"], self._queue, source, [row["published_on"] for row in rows],
            [row["seq"] for row in rows], f"to partition {target}",
        )  # fmt: skip

    async def _hold(self, connection: _Connection, partition: int) -> None:
        epoch = self._epochs[partition]
        if await connection.fetchval(_QUERIES["fenced"], self._queue, partition, epoch) is None:
            raise self._refusal(f"{partition} was taken over while its messages were moved; start again")

    def _refusal(self, text: str) -> TopologyChangeError:
        return TopologyChangeError((f"queue {self._queue}: partition {text}",))
