"""Reading an instance's shards past all policies, as their owner, to take account of what was kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from cluster.postgres import SUPERUSER

SHARDS = 32


async def every_shard(data_dir: Path, query: str, *arguments: Any) -> Sequence[asyncpg.Record]:
    """The rows of a query on all shards, one shard after the other."""
    # The fourth line is the port.
    port = int((data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[3])
    password = (data_dir / "postgres.password").read_text().strip()
    rows: list[asyncpg.Record] = []
    for shard in range(SHARDS):
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user=SUPERUSER, password=password, database=f"shard_{shard:02d}", timeout=10
        )
        try:
            rows += await connection.fetch(query, *arguments, timeout=30)
        finally:
            await connection.close()
    return rows
