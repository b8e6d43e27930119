"""The schema of one tenant, made as the owner of the databases: all of it in one transaction, or nothing."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from actors.shards.dsn import shard_dsn
from actors.shards.errors import MigrationFailedError, SetupError, ShardUnavailableError
from actors.shards.finding import connect
from actors.shards.migration_files import FOLDER, TENANT, Migration, filled, for_a_new_schema, load_migrations
from actors.shards.migrations import DEFAULT_PATIENCE, carry_out, coming_again, said
from actors.shards.release_register import QUERIES, release, released
from actors.shards.roles import APP_ROLE
from actors.shards.transaction import schema_of
from actors.shards.translation import FOREIGN, translate
from kernel.sql import quoted

_CONNECT_S: Final = 5.0
_TABLES: Final = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')"
_LOCKS: Final = "SELECT pg_advisory_xact_lock(hashtextextended('spaza migration {schema}', 0))"


class TenantSchemas:
    """Makes tenants' schemas. Holds the owner's DSN, and a connection only while it works.

    At most ``parallel`` at once; the others wait their turn within the patience. Half of the turns at most are one
    shard's, for what waits for a shard that is locked or away is not to hold up the others.
    """

    def __init__(
        self,
        dsn_template: str,
        *,
        parallel: int = 4,
        patience_s: float = 30.0,
        migrations: tuple[Migration, ...] | None = None,
    ) -> None:
        """Read the files.

        Args:
            dsn_template: of the owner.
            parallel: schemas that are made at once.
            patience_s: for one, waiting included.
            migrations: instead of those of this installation.
        """
        self._dsn_template, self._patience_s = dsn_template, patience_s
        self._turns = asyncio.Semaphore(parallel)
        self._turns_of = defaultdict[int, asyncio.Semaphore](lambda: asyncio.Semaphore(max(1, parallel // 2)))
        self._migrations = load_migrations(FOLDER / TENANT) if migrations is None else migrations

    async def create(self, tenant_id: str, shard: int, wanted: Callable[[], Awaitable[bool]] | None = None) -> bool:
        """Make a tenant's schema at its shard's newest version, see ``for_a_new_schema``; what is there stays.

        A crash leaves the whole schema with its version row, or nothing of it.

        Args:
            tenant_id: of the tenant.
            shard: where its schema is to be.
            wanted: asked while nobody can make, migrate or move it; False makes nothing.

        Returns:
            whether it is there; False if it was not wanted.

        Raises:
            WrongTenantError: not a tenant's id.
            ShardUnavailableError: the shard cannot be reached, it took too long, or its disk is full.
            SetupError: it was refused.
            MigrationFailedError: a migration could not be applied, and nothing of the schema is there.
        """
        schema = schema_of(tenant_id)
        async with self._connection(shard, schema) as connection:
            return await coming_again(
                lambda: self._create(connection, schema, tenant_id, wanted), f"schema {schema}", DEFAULT_PATIENCE
            )

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
        async with self._connection(shard, schema) as connection, connection.transaction():
            return await _drop(connection, schema, unchanged)

    @asynccontextmanager
    async def _connection(self, shard: int, schema: str) -> "AsyncIterator[asyncpg.Connection[Any]]":
        """A connection of the owner's, for the time of the patience; what goes wrong with it is said in our words."""
        try:
            async with asyncio.timeout(self._patience_s), self._turns_of[shard], self._turns:
                connection = await connect(shard_dsn(self._dsn_template, shard), timeout_s=_CONNECT_S)
                try:
                    yield connection
                finally:
                    await connection.close(timeout=_CONNECT_S)
        except MigrationFailedError as error:
            # A full disk, say, is no fault of the migration's, and passes.
            if (unavailable := _unavailable(error.__cause__, schema, shard)) is not None:
                raise unavailable from error
            raise
        except FOREIGN as error:
            raise _unavailable(error, schema, shard) or SetupError(f"schema {schema}", str(error)) from error

    async def _create(
        self,
        connection: "asyncpg.Connection[Any]",
        schema: str,
        tenant_id: str,
        wanted: Callable[[], Awaitable[bool]] | None,
    ) -> bool:
        async with connection.transaction():
            # One text is one round trip. The first lock: even with IF NOT EXISTS, two at once would collide.
            await connection.execute(
                f"{DEFAULT_PATIENCE.limits}; {filled(_LOCKS, {'schema': schema})}; {QUERIES['share_register']}"
            )
            if wanted is not None and not await wanted():
                return False
            await connection.execute(
                f"CREATE SCHEMA IF NOT EXISTS {schema}; GRANT USAGE ON SCHEMA {schema} TO {APP_ROLE}"
            )
            await build(connection, schema, tenant_id, self._migrations)
            return True


async def build(
    connection: "asyncpg.Connection[Any]", schema: str, tenant_id: str, files: tuple[Migration, ...]
) -> None:
    """Bring a schema that is there to its shard's newest version, inside a transaction that holds both its locks.

    Raises:
        asyncpg.PostgresError: as the migration's name says in a note.
    """
    version = await connection.fetchval(QUERIES["version"], schema) or 0
    known = await released(connection, TENANT)
    await build_as(connection, schema, tenant_id, for_a_new_schema(files, known), len(known), version=version)


async def build_as(
    connection: "asyncpg.Connection[Any]",
    schema: str,
    tenant_id: str,
    wanted: Sequence[Migration],
    known: int,
    *,
    version: int = 0,
) -> None:
    """Apply certain migrations to a schema, in a transaction as for ``build``.

    Args:
        connection: of the owner.
        schema: which has ``version`` of them.
        tenant_id: whose.
        wanted: all of them, from 1.
        known: how many the shard has released; those beyond are released with it.
        version: see above.

    Raises:
        asyncpg.PostgresError: as the migration's name says in a note.
    """
    for migration in wanted[version:]:
        try:
            await carry_out(
                connection, filled(migration.sql, {"schema": schema, "tenant_id": tenant_id}), closed=schema
            )
        except asyncpg.PostgresError as error:
            error.add_note(f"{migration.name}: {said(error)}")
            raise
    for migration in wanted[known:]:
        await release(connection, TENANT, migration)
    if len(wanted) > version:
        await connection.execute(QUERIES["record_version"], schema, len(wanted))


def _unavailable(error: BaseException | None, schema: str, shard: int) -> ShardUnavailableError | None:
    """The error for who may come again, where it was the server's state; None where it was what it was told."""
    translated = translate(error, f"schema {schema}", shard) if isinstance(error, FOREIGN) else None
    return translated if isinstance(translated, ShardUnavailableError) else None


async def _drop(connection: "asyncpg.Connection[Any]", schema: str, unchanged: Callable[[], Awaitable[bool]]) -> bool:
    # Who holds a row for longer than this is waited for by everybody behind us; so we come again instead.
    await connection.execute("SET LOCAL lock_timeout = '2s'")
    # Of two at once the second is to find nothing any more, instead of tables that go while it waits for them.
    await connection.execute(QUERIES["lock_scope"], schema)
    tables = [row["relname"] for row in await connection.fetch(_TABLES, schema)]
    if tables:
        await connection.execute(
            f"LOCK TABLE {', '.join(f'{schema}.{quoted(name)}' for name in tables)} IN SHARE ROW EXCLUSIVE MODE"
        )
        if not await unchanged():
            return False
    await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    await connection.execute("DELETE FROM spaza.schema_version WHERE scope = $1", schema)
    return True
