"""Applying migrations to one schema, one transaction each, with a version row for the schema.

Running again goes on where an interruption left off, and several that run at once do it once.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import asyncpg

from actors.shards.backoff import retry_delay_s
from actors.shards.errors import MigrationFailedError, SchemaGoneError
from actors.shards.migration_files import TENANT, Migration, filled
from actors.shards.release_register import QUERIES, release
from actors.shards.translation import sqlstate_of

COME_AGAIN: Final = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
Done = TypeVar("Done")


class Patience(NamedTuple):
    """How long a migration may wait and take.

    Attributes:
        lock_ms: for a lock. Who waits for one holds up everybody behind it; so it waits briefly, and comes again.
        attempts: how often it comes.
        statement_s: for one file.
    """

    lock_ms: int = 2_000
    attempts: int = 8
    statement_s: int = 600

    @property
    def limits(self) -> str:
        """As statements for the beginning of a transaction."""
        return f"SET LOCAL lock_timeout = {self.lock_ms}; SET LOCAL statement_timeout = '{self.statement_s}s'"


DEFAULT_PATIENCE: Final = Patience()
# Of the shared tables files before this one have left some open, which it closes.
_SHARED_CLOSED: Final = 8


_ENDS_TRANSACTION: Final = (asyncpg.FeatureNotSupportedError, asyncpg.InvalidTransactionTerminationError)
_REMEDY: Final = "a migration runs in a transaction of its own; take BEGIN, COMMIT and the like out"


async def carry_out(
    connection: "asyncpg.Connection[Any]",
    sql: str,
    patience: Patience = DEFAULT_PATIENCE,
    *,
    closed: str | None = None,
) -> None:
    """Run a file's text in the transaction that is open; whatever it says, that is open still, or has failed.

    PostgreSQL itself refuses what would end the transaction, however it is spelled, from inside a block of code. The
    file finds no path, no role and no setting but what the connection came with, and what it sets itself ends with it:
    another's path would carry it into another's schema.

    Args:
        connection: of the owner.
        sql: placeholders filled.
        patience: with other users of the tables.
        closed: a schema that is to have no table without forced row level security at the end; None looks at none.

    Raises:
        asyncpg.PostgresError: as of the statement that failed.
    """
    # What the text itself cannot hold.
    mark = hashlib.sha256(sql.encode()).hexdigest()
    known = f"{QUERIES['known_state']}; {patience.limits}"
    parts = [known, f"DO $do_{mark}$ BEGIN EXECUTE $of_{mark}${sql}$of_{mark}$; END $do_{mark}$", known]
    if closed is not None:
        parts.append(filled(QUERIES["refuse_open_tables"], {"schema": closed}))
    try:
        await connection.execute(";\n".join(parts))
    except _ENDS_TRANSACTION as error:
        if "transaction" in str(error):
            error.add_note(f"{_REMEDY} (SQLSTATE {error.sqlstate})")
        raise


async def migrate(
    connection: "asyncpg.Connection[Any]",
    scope: str,
    migrations: Sequence[Migration],
    placeholders: Mapping[str, str] | None = None,
    *,
    folder: str | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> int:
    """Bring one schema up to date.

    A crash leaves the schema at a version that its row names; calling again goes on from there.

    Args:
        connection: of the owner, to the shard's database.
        scope: the schema's name; its version row is kept under it.
        migrations: all of them, in order.
        placeholders: what ``{name}`` in the files stands for. They go in as they are: safe text only.
        folder: under which they are entered into the shard's register, and then no table may be left without row
            level security; None enters nothing.
        patience: with other users of the tables.

    Returns:
        how many were applied; 0 if it was up to date.

    Raises:
        MigrationFailedError: one could not be applied. Those before it stand.
        SchemaGoneError: the schema is not there any more.
    """
    version = await connection.fetchval(QUERIES["version"], scope) or 0
    applied = 0
    for migration in migrations:
        if migration.number > version:

            async def once(migration: Migration = migration) -> bool:
                closed = to_be_closed(scope, folder, migration.number)
                return await _apply_once(connection, scope, migration, placeholders or {}, folder, patience, closed)

            what = f"{scope} {migration.name}"
            try:
                applied += await coming_again(once, what, patience)
            except MigrationFailedError as error:
                # PostgreSQL says of some statements that the schema is not there, of others that the table is not.
                gone = isinstance(error.__cause__, asyncpg.InvalidSchemaNameError | asyncpg.UndefinedTableError)
                if gone and not await connection.fetchval(QUERIES["schema_is_there"], scope):
                    raise SchemaGoneError(what, "the schema is not there any more") from error
                raise
    return applied


def to_be_closed(scope: str, folder: str | None, number: int) -> str | None:
    """The schema in which the file of this number may leave no table open, if any."""
    return scope if folder == TENANT or (folder is not None and number >= _SHARED_CLOSED) else None


async def coming_again(once: Callable[[], Awaitable[Done]], what: str, patience: Patience) -> Done:
    """Run one transaction, again when it lost against another or got no lock.

    Raises:
        MigrationFailedError: it was refused, or got no lock in all its tries.
    """
    for tries in range(1, patience.attempts + 1):
        try:
            return await once()
        except COME_AGAIN as error:
            if tries == patience.attempts:
                reason = f"no lock after {tries} tries of {patience.lock_ms / 1000:g} s each"
                raise MigrationFailedError(what, reason) from error
            await asyncio.sleep(retry_delay_s(tries))
        except asyncpg.PostgresError as error:
            if is_away(error):
                raise
            raise MigrationFailedError(what, said(error)) from error
    raise AssertionError("unreachable")


def is_away(error: asyncpg.PostgresError) -> bool:
    """Whether the server is the matter, and not what it was told: it ends, starts, or the connection broke."""
    return sqlstate_of(error).startswith(("08", "57P"))


def said(error: asyncpg.PostgresError) -> str:
    """What PostgreSQL said, without the detail, which quotes rows; after a note that names the migration, if any."""
    notes: list[str] = getattr(error, "__notes__", [])
    return notes[-1] if notes else f"{(str(error).splitlines() or [''])[0]} (SQLSTATE {error.sqlstate})"


async def _apply_once(  # noqa: PLR0917
    connection: "asyncpg.Connection[Any]",
    scope: str,
    migration: Migration,
    placeholders: Mapping[str, str],
    folder: str | None,
    patience: Patience,
    closed: str | None,
) -> bool:
    async with connection.transaction():
        # A lock of the session that an earlier file has left would keep others waiting.
        await connection.execute(f"{patience.limits}; SELECT pg_advisory_unlock_all()")
        await connection.execute(QUERIES["lock_scope"], scope)
        if (await connection.fetchval(QUERIES["version"], scope) or 0) >= migration.number:
            return False
        if folder is not None:
            await release(connection, folder, migration)
        await carry_out(connection, filled(migration.sql, placeholders), patience, closed=closed)
        await connection.execute(QUERIES["record_version"], scope, migration.number)
    return True
