"""What an owner needs to know before it begins costs the same however much is there."""

import json
from pathlib import Path
from typing import Any

import asyncpg

from actors.mailbox.connections import Connections
from actors.shards.dsn import shard_dsn
from cluster.postgres import PostgresServer
from kernel.sql import load_queries

_QUERIES = load_queries(Path(__file__).parents[3] / "actors/mailbox/queries.sql")


def _nodes(plan: dict[str, Any]) -> list[str]:
    return [plan["Node Type"], *(node for child in plan.get("Plans", []) for node in _nodes(child))]


async def test_the_highest_seq_is_read_from_the_end_of_an_index(
    server: PostgresServer, owner: "asyncpg.Connection[Any]", queue_name: str
) -> None:
    connections = Connections(shard_dsn(server.tcp_dsn, 0, "spaza_system", "secret"), 1)
    async with connections.lend(60.0) as connection:
        await connection.execute("SET enable_seqscan = off")  # the tables are small here
        await connection.execute(f"PREPARE highest (text, int) AS {_QUERIES['highest']}")
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE highest ('{queue_name}', 0)")
        await connection.execute("DISCARD ALL")
    await connections.aclose()
    nodes = _nodes(json.loads(explained)[0]["Plan"])
    assert "Limit" in nodes
    assert not {"Seq Scan", "Bitmap Heap Scan", "Sort"} & set(nodes)
