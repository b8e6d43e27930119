"""The messages that wait for a moved tenant go with it: from its old shard's journal into that of its new one.

They are what its units have published with their changes, and what is published on the new shard follows them, so that
the order of each key is kept. The old partition's owner is fenced, for a message is to be in one hand; it takes its
partition up again at once. Dead letters stay where they died.

Which of them that owner has under way it alone knows. So all that it may have delivered count as tried on the new
shard, and are delivered there as what may have had effects before.
"""

from collections.abc import Sequence
from typing import Any

from actors.shards.move_side import QUERIES, MoveSide

MOST_MESSAGES = 10_000
_KEPT = (
    "published_on", "message_id", "key", "priority", "published_at", "ttl_ms", "headers", "body", "checksum",
    "seal",
)  # fmt: skip


async def waiting(side: MoveSide, queues: Sequence[str]) -> int:
    """How many messages of the tenant wait on its shard; of each queue ``MOST_MESSAGES`` and one at most."""
    counts = [
        await side.connection.fetchval(QUERIES["waiting_messages"], queue, side.shard, side.tenant_id)
        for queue in queues
    ]
    return sum(counts)


async def move_messages(source: MoveSide, target: MoveSide, queues: Sequence[str], *, lock_s: float) -> int:
    """Move all that waits; returns how many. Again moves what an interrupted move has left.

    They are inserted first and settled as moved after that, for the two journals have no transaction in common. After a
    crash in between they are delivered from both, and their consumer tells by their ids.

    Raises:
        asyncpg.LockNotAvailableError: a lock on a partition did not come in ``lock_s``; its messages stay.
        asyncpg.PostgresError: for another reason.
    """
    patience = f"SET LOCAL lock_timeout = {round(lock_s * 1000)}"
    return sum([await _move(source, target, queue, patience) for queue in queues])


async def _move(source: MoveSide, target: MoveSide, queue: str, patience: str) -> int:
    old, new, where = source.connection, target.connection, (queue, source.shard)
    async with old.transaction():
        if not await old.fetchval(QUERIES["waiting_messages"], *where, source.tenant_id):
            # Nobody is fenced for nothing. One below the low water mark that came late is delivered from here.
            return 0
        await old.execute(patience)
        held = await old.fetchval(QUERIES["lock_partition"], *where)
        await old.execute(QUERIES["take_partition"], *where)
        # What was settled meanwhile is not among them, and nothing more is settled now.
        rows = await old.fetch(QUERIES["messages"], *where, source.tenant_id)
        async with new.transaction():
            await new.execute(patience)
            await _insert(target, queue, rows, held)
        days, seqs = [row["published_on"] for row in rows], [row["seq"] for row in rows]
        await old.execute(QUERIES["settle_moved"], *where, f"to shard {target.shard}", days, seqs)
    return len(rows)


async def _insert(target: MoveSide, queue: str, rows: Sequence[Any], clock_s: float | None) -> None:
    new, where = target.connection, (queue, target.shard)
    clock_there_s = await new.fetchval(QUERIES["clock"], *where)
    columns: list[list[Any]] = [[row[name] for row in rows] for name in _KEPT]
    columns.insert(5, [_clock(row["clock_s"], clock_s, clock_there_s) for row in rows])
    inserted = await new.fetch(QUERIES["insert_messages"], *where, target.tenant_id, *columns)
    seqs = {_name(row): row["seq"] for row in inserted}
    if missing := [row for row in rows if _name(row) not in seqs]:
        seqs |= await _come_back(target, queue, missing)
    was_owned = clock_s is not None
    tried = [row for row in rows if (was_owned or row["retries"] is not None) and _name(row) in seqs]
    await new.execute(
        QUERIES["remember_tries"],
        *where,
        [seqs[_name(row)] for row in tried],
        *([row[name] for row in tried] for name in ("retries", "deliveries", "not_before", "deferred_s", "reason")),
    )


async def _come_back(target: MoveSide, queue: str, rows: Sequence[Any]) -> dict[tuple[Any, str], int]:
    """Have messages wait again that are there, for they were moved away from here before."""
    new, where = target.connection, (queue, target.shard)
    days = list({row["published_on"] for row in rows})
    there = await new.fetch(QUERIES["where_they_are"], *where, [row["message_id"] for row in rows], days)
    seqs = {_name(row): row["seq"] for row in there}
    back = {row["seq"] for row in await new.fetch(QUERIES["come_back"], *where, list(seqs.values()), days)}
    if back:
        await new.execute(QUERIES["lower_water"], *where, min(back))
    return {name: seq for name, seq in seqs.items() if seq in back}


def _name(row: Any) -> tuple[Any, str]:
    return row["published_on"], row["message_id"]


def _clock(clock_s: float | None, here_s: float | None, there_s: float | None) -> float | None:
    """It has aged as much there as here; None lets its new owner begin."""
    if clock_s is None or here_s is None or there_s is None:
        return None
    return clock_s - here_s + there_s
