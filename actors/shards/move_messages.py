"""The messages that wait for a moved tenant go with it: from its old shard's journal into that of its new one.

They are what its units have published with their changes, and what is published on the new shard follows them, so that
the order of each key is kept. The old partition's owner is fenced, for a message is to be in one hand; it takes its
partition up again at once. Dead letters stay where they died.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from actors.shards.move_side import QUERIES, MoveSide

MOST_MESSAGES = 10_000
_KEPT = (
    "queue", "published_on", "message_id", "key", "priority", "published_at", "ttl_ms", "headers", "body", "checksum",
)  # fmt: skip


async def waiting(side: MoveSide, queues: Sequence[str]) -> int:
    """How many messages of the tenant wait on its shard, ``MOST_MESSAGES`` and one at most."""
    count: int = await side.connection.fetchval(QUERIES["waiting_messages"], list(queues), side.shard, side.tenant_id)
    return count


async def move_messages(source: MoveSide, target: MoveSide, queues: Sequence[str]) -> int:
    """Move all that waits; returns how many. Again moves what an interrupted move has left.

    They are inserted first and settled as moved after that, for the two journals have no transaction in common. After a
    crash in between they are delivered from both, and their consumer tells by their ids.
    """
    old, new = source.connection, target.connection
    async with old.transaction():
        asked = (list(queues), source.shard, source.tenant_id)
        concerned = sorted({row["queue"] for row in await old.fetch(QUERIES["messages"], *asked)})
        if not concerned:
            return 0
        held = await old.fetch(QUERIES["lock_partitions"], concerned, source.shard)
        clocks = {row["queue"]: row["clock_s"] for row in held}
        await old.execute(QUERIES["take_partitions"], concerned, source.shard)
        # What was settled meanwhile is not among them, and nothing more is settled now.
        rows = await old.fetch(QUERIES["messages"], concerned, *asked[1:])
        async with new.transaction():
            await _insert(target, rows, clocks)
        await old.execute(
            QUERIES["settle_moved"],
            source.shard,
            f"to shard {target.shard}",
            [row["published_on"] for row in rows],
            [row["queue"] for row in rows],
            [row["seq"] for row in rows],
        )
    return len(rows)


async def _insert(target: MoveSide, rows: Sequence[Any], clocks: Mapping[str, float]) -> None:
    new = target.connection
    there = await new.fetch(QUERIES["clocks"], sorted({row["queue"] for row in rows}), target.shard)
    clocks_there = {row["queue"]: row["clock_s"] for row in there}
    columns: list[list[Any]] = [[row[name] for row in rows] for name in _KEPT]
    columns.insert(6, [_clock(row, clocks, clocks_there) for row in rows])
    inserted = await new.fetch(QUERIES["insert_messages"], target.shard, target.tenant_id, *columns)
    seqs = {_name(row): row["seq"] for row in inserted}
    if missing := [row for row in rows if _name(row) not in seqs]:
        names = ([row[name] for row in missing] for name in ("queue", "published_on", "message_id"))
        back = await new.fetch(QUERIES["come_back"], target.shard, *names)
        seqs |= {_name(row): row["seq"] for row in back}
    tried = [row for row in rows if row["retries"] is not None and _name(row) in seqs]
    await new.execute(
        QUERIES["remember_tries"],
        target.shard,
        [row["queue"] for row in tried],
        [seqs[_name(row)] for row in tried],
        *([row[name] for row in tried] for name in ("retries", "deliveries", "not_before", "deferred_s", "reason")),
    )


def _name(row: Any) -> tuple[str, Any, str]:
    return row["queue"], row["published_on"], row["message_id"]


def _clock(row: Any, here: Mapping[str, float], there: Mapping[str, float]) -> float | None:
    """It has aged as much there as here; None lets its new owner begin."""
    clock_s, queue = row["clock_s"], row["queue"]
    if clock_s is None or queue not in here or queue not in there:
        return None
    return float(clock_s - here[queue] + there[queue])
