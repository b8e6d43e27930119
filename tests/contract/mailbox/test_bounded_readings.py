"""What a reading costs depends on how much it may read, whatever PostgreSQL knows of its tables."""

import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import asyncpg
import pytest

from actors.mailbox.connections import Connections
from actors.mailbox.journal import Place, Walk
from actors.mailbox.postgres_journal import PostgresJournal
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer
from kernel.sql import load_queries
from tests.contract.mailbox.conftest import PATIENCE, SCHEMA

_MAILBOX = Path(__file__).parents[3] / "actors/mailbox"
_QUERIES, _OPERATOR, _RELOCATION = (
    load_queries(_MAILBOX / name) for name in ("queries.sql", "operator_queries.sql", "relocation.sql")
)
SHARD = 7
TODAY = int(time.time() // 86_400)
MESSAGES, LIMIT = 50_000, 500
Known = Literal["nothing", "that all is empty", "all"]
SEQS = list(range(30_001, 30_001 + LIMIT))
READINGS = {
    "load": (_QUERIES["load"], ("q", 0, 0, LIMIT, 8_000_000)),
    "load_expired": (_QUERIES["load_expired"], ("q", 0, 0, float("-inf"), -1, 1e9, LIMIT, 8_000_000)),
    "load_expired, later": (_QUERIES["load_expired"], ("q", 0, 30_000, 30.0, 30_000, 1e9, LIMIT, 8_000_000)),
    "load_seqs": (_QUERIES["load_seqs"], ("q", 0, SEQS, 8_000_000)),
    "load_ids": (_QUERIES["load_ids"], ("q", 0, [f"m{seq}" for seq in SEQS])),
    "settled_letters": (_QUERIES["settled_letters"], ("q", 0, [TODAY] * 100, [f"m{seq}" for seq in SEQS[:100]])),
    "peek": (_OPERATOR["peek"], ("q", 0, 0, LIMIT, 100, None, None, None, None, None, None, [], None)),
    "relocation": (_RELOCATION["page"], ("q", 0, 0, LIMIT)),
}
_FILL = """
INSERT INTO spaza.journal (published_on, queue, partition, seq, message_id, tenant_id, key, priority, published_at,
                           clock_s, ttl_ms, headers, body, checksum, transactional)
SELECT (now() AT TIME ZONE 'UTC')::date, 'q', 0, n, 'm' || n, 't', 'k', 0, now(), n / 1000, 3000, '{}',
       repeat('x', 200)::bytea, 0, false
FROM generate_series(1, $1::int) AS n
"""
_SETTLE = """
INSERT INTO spaza.settlement (published_on, queue, partition, seq, outcome, reason, deliveries)
SELECT (now() AT TIME ZONE 'UTC')::date, 'q', 0, n, 'acknowledged', '', 1 FROM generate_series(1, $1::int) AS n
WHERE n % 3 = 0
"""
_TRY = """
INSERT INTO spaza.redelivery (queue, partition, seq, retries, deliveries, not_before, deferred_s, reason)
SELECT 'q', 0, n, 1, 1, now(), 0, '' FROM generate_series(1, $1::int) AS n WHERE n % 5 = 0
"""
_KNOWN = """
SELECT relname, reltuples FROM pg_class
WHERE relname ~ '^(journal|settlement|redelivery)' AND relkind = 'r' AND pg_relation_size(oid) > 0
"""


@pytest.fixture
async def keeper(server: PostgresServer, owner: object) -> AsyncIterator[Any]:
    """The tables' owner in a database of which nobody has analyzed anything, with nothing in it."""
    connection = await asyncpg.connect(server.database_dsn(f"shard_{SHARD:02d}"))
    await connection.execute("DROP SCHEMA IF EXISTS spaza CASCADE")
    await connection.execute(SCHEMA)
    yield connection
    await connection.close()


@pytest.fixture
def system(server: PostgresServer) -> str:
    """The database, as the mailbox's own role."""
    return shard_dsn(server.tcp_dsn, SHARD, "spaza_system", "secret")


@pytest.mark.parametrize("known", ["nothing", "that all is empty", "all"])
async def test_a_reading_of_a_backlog_walks_about_as_many_rows_as_it_may_return(
    known: Known, keeper: Any, system: str
) -> None:
    if known == "that all is empty":
        await keeper.execute("VACUUM ANALYZE")
    read, blocks = {}, {}
    async with Connections(system, 1).lend(300.0) as reader:
        # Planned while there is nothing, as by an owner on a new day, whose plans are kept.
        for place, (query, arguments) in enumerate(READINGS.values()):
            await reader.execute(f"PREPARE reading_{place} AS {query}")
            await reader.execute(f"EXECUTE reading_{place} ({literals(arguments)})")
        for fill in (_FILL, _SETTLE, _TRY):
            await keeper.execute(fill, MESSAGES)
        if known == "all":  # and they are planned anew
            await keeper.execute("ANALYZE spaza.journal, spaza.settlement, spaza.redelivery")
        estimates = {row[1] for row in await keeper.fetch(_KNOWN)}

        for place, (name, (_, arguments)) in enumerate(READINGS.items()):
            explained = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE reading_{place} ({literals(arguments)})"
            plan = json.loads(await reader.fetchval(explained))[0]["Plan"]
            read[name] = sum(rows_of(node) for node in nodes(plan))
            blocks[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        reader.terminate()

    assert (estimates == {-1}, estimates == {0}) == (known == "nothing", known == "that all is empty")
    # A row is read, its settlement and its tries are looked up, and a third is passed over.
    assert max(read.values()) <= 6 * LIMIT, read
    assert max(blocks.values()) <= 20 * LIMIT, blocks


async def test_a_backlog_that_has_expired_is_found_whole_part_by_part(keeper: Any, system: str) -> None:
    for fill in (_FILL, _SETTLE):
        await keeper.execute(fill, 5_000)
    journal = PostgresJournal(Connections(system, 1), "q", "dlq.q", 0, PATIENCE)
    found: list[int] = []
    after: Place | None = (float("-inf"), -1)
    while after is not None:
        rows, after = await journal.load_expired(Walk(1, after, 1e9, LIMIT))
        assert len(rows) <= LIMIT
        found += [row.seq for row in rows]
    await journal.aclose()

    assert found == [seq for seq in range(1, 5_001) if seq % 3]


async def test_maintenance_has_the_planner_know_what_it_does_not(keeper: Any, system: str) -> None:
    for fill in (_FILL, _TRY):
        await keeper.execute(fill, 1_000)
    journal = PostgresJournal(Connections(system, 1), "q", "dlq.q", 0, PATIENCE)

    async with keeper.transaction():
        await keeper.execute("LOCK TABLE spaza.redelivery IN SHARE UPDATE EXCLUSIVE MODE")
        await journal.maintain(3, 7)
        assert sorted(dict(await keeper.fetch(_KNOWN)).values()) == [-1, 1_000], "what is locked is left for later"
    await journal.maintain(3, 7)
    await journal.aclose()

    known = dict(await keeper.fetch(_KNOWN))
    assert (sorted(known.values()), known["redelivery"]) == ([200, 1_000], 200)
    assert await keeper.fetchval("SELECT spaza.analyze_mailbox()") == 0, "what it knows is left to the server"


def literals(arguments: tuple[Any, ...]) -> str:
    """The arguments as they stand in a statement."""
    return ", ".join(literal(one) for one in arguments)


def literal(one: Any) -> str:
    if one is None:
        return "NULL"
    if isinstance(one, list):
        return "'{" + ",".join(str(each) for each in one) + "}'"
    return f"'{one}'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def rows_of(node: dict[str, Any]) -> float:
    """What a node has read of a table, or has compared with what it joins."""
    passed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
    returned = node["Actual Rows"] if "Relation Name" in node else 0
    return float((returned + passed) * node["Actual Loops"])
