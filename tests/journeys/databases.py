"""Reading an instance's shards past all policies, as their owner, to take account of what was kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from cluster.postgres_access import SUPERUSER

SHARDS = 32


_TENANT_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tenant\\_%'"


def owner_dsn(data_dir: Path) -> str:
    """The way to an instance's embedded PostgreSQL, as its owner; it listens on its socket alone."""
    # The fourth line is the port, which names the socket too, and the fifth the socket's folder.
    port, folder = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()[3:5]
    password = (data_dir / "postgres.password").read_text().strip()
    return f"postgresql://{SUPERUSER}:{password}@/?host={folder}&port={port}"


async def every_shard(
    data_dir: Path, query: str, *arguments: Any, of_each_tenant: bool = False
) -> Sequence[asyncpg.Record]:
    """The rows of a query on all shards, one shard after the other.

    Args:
        data_dir: of the instance.
        query: where it is ``of_each_tenant``, with ``{schema}`` in it, and run for each tenant's.
        arguments: of the query.
        of_each_tenant: whether to ask each tenant of a shard.
    """
    dsn = owner_dsn(data_dir)
    rows: list[asyncpg.Record] = []
    for shard in range(SHARDS):
        connection = await asyncpg.connect(dsn, database=f"shard_{shard:02d}", timeout=60)
        try:
            schemas = [row[0] for row in await connection.fetch(_TENANT_SCHEMAS)] if of_each_tenant else [""]
            for schema in schemas:
                rows += await connection.fetch(query.replace("{schema}", schema), *arguments, timeout=120)
        finally:
            await connection.close()
    return rows
