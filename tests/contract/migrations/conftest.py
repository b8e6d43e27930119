"""Installations of a few shards, each test's own, on one real server; and releases to migrate them with."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from actors.shards.drift import DriftReport, drift
from actors.shards.dsn import shard_dsn
from actors.shards.migration_files import MigrationFiles
from actors.shards.migration_run import TenantMigrations
from actors.shards.owner import MigrationLimits
from actors.shards.setup import set_up_shards
from actors.shards.tenant_schema import TenantSchemas
from cluster.postgres import PostgresServer
from kernel.identifiers import new_id
from tests.killing import sessions_over
from tests.migration_folders import Release
from tests.servers import postgres

KEY = base64.b64encode(b"k" * 32).decode()
SHARDS = (0, 1, 2)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with postgres(tmp_path_factory.mktemp("pg")) as started:
        asyncio.run(_set_up(started))
        yield started


async def _set_up(server: PostgresServer) -> None:
    await set_up_shards(server.dsn, KEY)
    keeper = await asyncpg.connect(server.database_dsn("postgres"))
    # Tests make tenants on any shard, and of what is copied nobody is to have a connection.
    await keeper.execute("CREATE DATABASE untouched TEMPLATE shard_31")
    await keeper.close()


class Installation:
    """Databases of three shards, set up with the files of this installation, and tenants in them."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.dsn = server.database_dsn(f"{name}_{{shard}}")
        self._server, self._name = server, name

    async def make(self) -> None:
        keeper = await asyncpg.connect(self._server.database_dsn("postgres"))
        for shard in SHARDS:
            await keeper.execute(f"CREATE DATABASE {self._name}_{shard:02d} TEMPLATE untouched")
        await keeper.close()

    async def sessions_over(self) -> None:
        """Wait until nobody is left of a process that was killed."""
        await sessions_over(self._server.database_dsn("postgres"), f"{self._name}%")

    async def drop(self) -> None:
        keeper = await asyncpg.connect(self._server.database_dsn("postgres"))
        for shard in SHARDS:
            await keeper.execute(f"DROP DATABASE {self._name}_{shard:02d} WITH (FORCE)")
        await keeper.close()

    async def tenants(self, *per_shard: int, files: MigrationFiles | None = None) -> list[str]:
        """Make so many tenants on each shard; their ids, shard after shard."""
        made = []
        schemas = TenantSchemas(self.dsn, migrations=None if files is None else files.tenant)
        for shard, number in enumerate(per_shard):
            for _ in range(number):
                made.append(new_id())
                await schemas.create(made[-1], shard)
        return made

    def migrations(
        self,
        release: Release,
        *,
        shards: Sequence[int] = SHARDS,
        clock: Callable[[], float] = time.perf_counter,
        **limits: Any,
    ) -> TenantMigrations:
        return TenantMigrations(self.dsn, release.files, MigrationLimits(**limits), shards=shards, clock=clock)

    async def drift(self, release: Release) -> DriftReport:
        return await drift(self.migrations(release), SHARDS)

    async def fetch(self, shard: int, query: str, *arguments: Any) -> list[Any]:
        connection = await self.owner(shard)
        try:
            rows: list[Any] = await connection.fetch(query, *arguments)
            return rows
        finally:
            await connection.close()

    async def owner(self, shard: int) -> "asyncpg.Connection[Any]":
        return await asyncpg.connect(shard_dsn(self.dsn, shard))

    async def versions(self) -> dict[str, int]:
        """Of every tenant."""
        found: dict[str, int] = {}
        for shard in SHARDS:
            rows = await self.fetch(shard, "SELECT scope, version FROM spaza.schema_version WHERE scope <> 'spaza'")
            found |= {row["scope"].removeprefix("tenant_"): row["version"] for row in rows}
        return found


@pytest.fixture
async def installation(server: PostgresServer) -> AsyncIterator[Installation]:
    installation = Installation(server, f"i{new_id()}")
    await installation.make()
    yield installation
    await installation.drop()


@pytest.fixture
def fresh(server: PostgresServer) -> Iterator[Installation]:
    """The same for tests that run event loops of their own."""
    installation = Installation(server, f"i{new_id()}")
    asyncio.run(installation.make())
    yield installation
    asyncio.run(installation.drop())


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(tmp_path / "release")
