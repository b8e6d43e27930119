"""A schema that is made for a look and never kept: what a new tenant would get, inside a transaction that is undone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from actors.shards.errors import MigrationFailedError
from actors.shards.migration_files import SHARED, Migration, filled
from actors.shards.migrations import (
    COME_AGAIN,
    DEFAULT_PATIENCE,
    Patience,
    carry_out,
    coming_again,
    is_away,
    said,
    to_be_closed,
)
from actors.shards.release_register import SHARED_SCOPE
from actors.shards.roles import APP_ROLE

# No tenant's: ids begin with the time.
SCRATCH_TENANT: Final = "0" * 32
SCRATCH: Final = f"tenant_{SCRATCH_TENANT}"


@asynccontextmanager
async def scratch_schema(
    connection: "asyncpg.Connection[Any]",
    migrations: Sequence[Migration],
    patience: Patience = DEFAULT_PATIENCE,
    *,
    closed: bool = False,
) -> AsyncIterator[str]:
    """A schema made of these migrations, for as long as the block lasts; nobody else ever sees it.

    Args:
        connection: of the owner.
        migrations: from the first.
        patience: with other users of tables.
        closed: whether one that leaves a table without forced row level security is refused.

    Raises:
        MigrationFailedError: naming the one that does not work.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        # As of any schema whose name is not in the path: what the catalogue says then names the schema.
        await connection.execute("SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '2s'")
        # One that was left can only be of a file that ended the transaction, when such files were not refused yet.
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")
        await connection.execute(f"CREATE SCHEMA {SCRATCH}; GRANT USAGE ON SCHEMA {SCRATCH} TO {APP_ROLE}")
        for migration in migrations:
            placeholders = {"schema": SCRATCH, "tenant_id": SCRATCH_TENANT}
            await _try(connection, migration, placeholders, patience, SCRATCH if closed else None)
        yield SCRATCH
    finally:
        if not connection.is_closed():
            await transaction.rollback()


async def rehearse(
    connection: "asyncpg.Connection[Any]",
    shared: Sequence[Migration],
    tenant: Sequence[Migration],
    patience: Patience,
) -> None:
    """Apply them to this shard and to an empty schema, and undo all of it: so a file with a fault touches nobody.

    What it cannot find is a fault that shows with rows alone; that is what canaries are for.

    Args:
        connection: of the owner.
        shared: what the shard's shared tables still need.
        tenant: all of a tenant's, from the first.
        patience: with other users of the shared tables.

    Raises:
        MigrationFailedError: naming the one that does not work.
    """

    async def once() -> None:
        # For good, where the one below is undone with the rest.
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCRATCH} CASCADE")
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(patience.limits)
            for migration in shared:
                closed = to_be_closed(SHARED_SCOPE, SHARED, migration.number)
                await _try(connection, migration, {}, patience, closed)
            async with scratch_schema(connection, tenant, patience, closed=True):
                pass
        finally:
            if not connection.is_closed():
                await transaction.rollback()

    await coming_again(once, "the rehearsal", patience)


async def _try(
    connection: "asyncpg.Connection[Any]",
    migration: Migration,
    placeholders: dict[str, str],
    patience: Patience,
    closed: str | None,
) -> None:
    try:
        await carry_out(connection, filled(migration.sql, placeholders), patience, closed=closed)
    except COME_AGAIN:
        raise
    except asyncpg.PostgresError as error:
        if is_away(error):
            raise
        raise MigrationFailedError(migration.name, f"{said(error)}, in a rehearsal; nothing was touched") from error
