"""Connections of the databases' owner, of whom there are few, for work on many schemas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import asyncpg

from actors.shards.dsn import shard_dsn
from actors.shards.finding import connect
from actors.shards.migrations import DEFAULT_PATIENCE, Patience
from actors.shards.translation import FOREIGN


class MigrationLimits(NamedTuple):
    """What a migration may use.

    Attributes:
        per_shard: tenants of one shard at a time, each on a connection.
        connections: of all shards together.
        connect_s: patience for a connection.
        patience: with other users of the tables.
    """

    per_shard: int = 2
    connections: int = 16
    connect_s: float = 10.0
    patience: Patience = DEFAULT_PATIENCE


class OwnerConnections:
    """Opens them, so many at once over all shards. Holds the owner's DSN."""

    def __init__(self, dsn_template: str, limits: MigrationLimits) -> None:
        self._dsn_template, self._limits = dsn_template, limits
        self._turns = asyncio.Semaphore(limits.connections)

    @asynccontextmanager
    async def to(self, shard: int) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """The owner's connection to a shard, one of so many in all."""
        limit = self._limits.connect_s
        async with self._turns:
            connection = await connect(
                shard_dsn(self._dsn_template, shard),
                timeout_s=limit,
                command_timeout=self._limits.patience.statement_s + limit,
            )
            try:
                yield connection
            finally:
                try:
                    await connection.close(timeout=limit)
                except (*FOREIGN, TimeoutError):
                    connection.terminate()
