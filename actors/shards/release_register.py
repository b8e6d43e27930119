"""Which migrations a shard has released, with their texts: what was applied cannot change, and new tenants start there.

It is written in the transaction that applies a migration, so that it says neither more nor less than what happened.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from actors.shards.errors import SetupError
from actors.shards.migration_files import SHARED, TENANT, Migration, Phase, pending, refuse_changed
from kernel.sql import load_queries

QUERIES: Final = load_queries(Path(__file__).with_name("migration_queries.sql"))
SHARED_SCOPE: Final = "spaza"


class ShardVersions(NamedTuple):
    """How far one shard's database has come.

    Attributes:
        shared: version of the shared tables.
        tenants: schema to version, in the order of their names, which is that in which they were made.
        released: folder to number to name and checksum.
    """

    shared: int
    tenants: dict[str, int]
    released: dict[str, dict[int, tuple[str, str]]]

    @property
    def newest_tenant(self) -> int:
        """The highest version that a tenant has."""
        return max(self.tenants.values(), default=0)


async def read_versions(connection: "asyncpg.Connection[Any]", database: str) -> ShardVersions:
    """What a database has; reads alone.

    Raises:
        SetupError: it was never set up.
    """
    there = await connection.fetchrow(QUERIES["is_there"])
    if there is None or not there["set_up"]:
        reason = "it has no tables of Spaza yet; start Spaza with it once, which makes them"
        raise SetupError(f"database {database}", reason)
    tenants = {row["scope"]: row["version"] for row in await connection.fetch(QUERIES["versions"])}
    shared = tenants.pop(SHARED_SCOPE, 0)
    released: dict[str, dict[int, tuple[str, str]]] = {SHARED: {}, TENANT: {}}
    if there["registers"]:
        for folder, number, name, checksum in await connection.fetch(QUERIES["checksums"]):
            released[folder][number] = (name, checksum)
    return ShardVersions(shared, tenants, released)


async def keep_register(
    connection: "asyncpg.Connection[Any]", database: str, shared: Sequence[Migration], tenant: Sequence[Migration]
) -> ShardVersions:
    """Make the register where there is none, enter what was applied before there was one, and refuse changed files.

    A database without any tenant releases all files at once, for no old code has tenants in it.

    Raises:
        MigrationChangedError: a file is not what was applied.
    """
    async with connection.transaction():
        await connection.execute(QUERIES["lock_register"])
        await connection.execute(QUERIES["keep_register"])
        versions = await read_versions(connection, database)
        refuse_changed(shared, versions.released[SHARED], versions.shared, database)
        refuse_changed(tenant, versions.released[TENANT], versions.newest_tenant, database)
        fresh = not versions.tenants and not versions.released[TENANT]
        adopted = tenant if fresh else tenant[: versions.newest_tenant]
        for folder, files in ((SHARED, shared[: versions.shared]), (TENANT, adopted)):
            for migration in files:
                if migration.number not in versions.released[folder]:
                    await release(connection, folder, migration)
    return versions


async def release(connection: "asyncpg.Connection[Any]", folder: str, migration: Migration) -> None:
    """Enter a migration, inside the transaction that applies it. Again changes nothing."""
    await connection.execute(
        QUERIES["release"], folder, migration.number, migration.name, migration.checksum, migration.sql
    )


async def released(connection: "asyncpg.Connection[Any]", folder: str) -> tuple[Migration, ...]:
    """What a database has released of a folder, in order."""
    return tuple(Migration(*row) for row in await connection.fetch(QUERIES["released"], folder))


async def release_up_to(
    connection: "asyncpg.Connection[Any]", tenant: Sequence[Migration], phase: Phase | None
) -> tuple[Migration, ...]:
    """Let new tenants of this shard have what the phase allows, from now on; and say which files that are, from 1.

    When it returns, every schema that was being made without them has its version row, and so is seen by who looks
    for what is behind.

    Raises:
        MigrationOrderError: an earlier release was not ended.
    """
    async with connection.transaction():
        await connection.execute(QUERIES["lock_register"])
        versions = {row["scope"]: row["version"] for row in await connection.fetch(QUERIES["versions"])}
        versions.pop(SHARED_SCOPE, None)
        known = len(await released(connection, TENANT))
        target = known + len(pending(tenant, known, phase))
        # From where a text may have been mended that no tenant has got yet.
        for migration in tenant[max(versions.values(), default=0) : target]:
            await release(connection, TENANT, migration)
    return tuple(tenant[:target])
