"""The schema of one tenant, made and migrated as the owner of the databases."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import asyncpg

from actors.shards.dsn import shard_dsn
from actors.shards.errors import SetupError, ShardUnavailableError
from actors.shards.migrations import FOLDER, load_migrations, migrate
from actors.shards.roles import APP_ROLE
from actors.shards.transaction import schema_of
from actors.shards.translation import FOREIGN, translate

_CONNECT_S: Final = 5.0
_TABLES: Final = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')"


class TenantSchemas:
    """Makes tenants' schemas. Holds the owner's DSN, and a connection only while it works.

    At most ``parallel`` at once; the others wait their turn within the patience.
    """

    def __init__(self, dsn_template: str, *, parallel: int = 4, patience_s: float = 30.0) -> None:
        self._dsn_template, self._patience_s = dsn_template, patience_s
        self._turns = asyncio.Semaphore(parallel)
        self._migrations = load_migrations(FOLDER / "tenant")

    async def create(self, tenant_id: str, shard: int) -> None:
        """Make a tenant's schema, its tables and their row level security; what is there stays.

        Raises:
            WrongTenantError: not a tenant's id.
            ShardUnavailableError: the shard cannot be reached, or it took too long.
            SetupError: it was refused.
            MigrationFailedError: a migration could not be applied; calling again goes on from there.
        """
        schema = schema_of(tenant_id)
        try:
            async with asyncio.timeout(self._patience_s), self._turns:
                connection = await asyncpg.connect(shard_dsn(self._dsn_template, shard), timeout=_CONNECT_S)
                try:
                    await self._create(connection, schema, tenant_id)
                finally:
                    await connection.close(timeout=_CONNECT_S)
        except FOREIGN as error:
            translated = translate(error, f"schema {schema}", shard)
            if isinstance(translated, ShardUnavailableError):
                raise translated from error
            raise SetupError(f"schema {schema}", str(error)) from error

    async def drop(self, tenant_id: str, shard: int, unchanged: Callable[[], Awaitable[bool]]) -> bool:
        """Take a tenant's schema away with all that is in it, unless something changed.

        Args:
            tenant_id: of the tenant.
            shard: where its schema is.
            unchanged: asked while nobody can write there; False leaves the schema as it is.

        Returns:
            whether it is gone; also if it was before.

        Raises:
            WrongTenantError: not a tenant's id.
            ShardUnavailableError: the shard cannot be reached, it took too long, or somebody would not let go of a row.
            SetupError: it was refused.
        """
        schema = schema_of(tenant_id)
        try:
            async with asyncio.timeout(self._patience_s), self._turns:
                connection = await asyncpg.connect(shard_dsn(self._dsn_template, shard), timeout=_CONNECT_S)
                try:
                    async with connection.transaction():
                        return await _drop(connection, schema, unchanged)
                finally:
                    await connection.close(timeout=_CONNECT_S)
        except FOREIGN as error:
            translated = translate(error, f"schema {schema}", shard)
            if isinstance(translated, ShardUnavailableError):
                raise translated from error
            raise SetupError(f"schema {schema}", str(error)) from error

    async def _create(self, connection: "asyncpg.Connection[Any]", schema: str, tenant_id: str) -> None:
        # One text is one transaction. The lock: even with IF NOT EXISTS, two at once would collide.
        await connection.execute(
            f"SELECT pg_advisory_xact_lock(hashtextextended('spaza {schema}', 0));"
            f"CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE ON SCHEMA {schema} TO {APP_ROLE}"
        )
        await migrate(connection, schema, self._migrations, {"schema": schema, "tenant_id": tenant_id})


async def _drop(connection: "asyncpg.Connection[Any]", schema: str, unchanged: Callable[[], Awaitable[bool]]) -> bool:
    # Who holds a row for longer than this is waited for by everybody behind us; so we come again instead.
    await connection.execute("SET LOCAL lock_timeout = '2s'")
    tables = [row["relname"] for row in await connection.fetch(_TABLES, schema)]
    if tables:
        await connection.execute(
            f"LOCK TABLE {', '.join(f'{schema}.{_quoted(name)}' for name in tables)} IN SHARE ROW EXCLUSIVE MODE"
        )
        if not await unchanged():
            return False
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.execute("DELETE FROM spaza.schema_version WHERE scope = $1", schema)
    return True


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
