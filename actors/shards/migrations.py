"""Migrations: ordered SQL files, applied one transaction each, with a version row for each schema they apply to.

A file is ``NNNN_pre_what.sql`` (before the code that needs it) or ``NNNN_post_what.sql`` (after the code that does not
any more), numbered from 0001 without gaps. Old code must work on the new tables. Running again goes on where an
interruption left off, and several that run at once do it once.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg

from actors.shards.backoff import retry_delay_s
from actors.shards.errors import MigrationFailedError

FOLDER: Final = Path(__file__).with_name("migrations")
SHARED_SCOPE: Final = "spaza"

_NAME = re.compile(r"(?P<number>\d{4})_(?:pre|post)_[a-z0-9_]+\.sql")
# A migration that waits for a lock holds up everybody behind it; so it waits briefly, and comes again.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
_ATTEMPTS = 8
_VERSION = "SELECT version FROM spaza.schema_version WHERE scope = $1"
_RECORD = """
INSERT INTO spaza.schema_version (scope, version) VALUES ($1, $2)
ON CONFLICT (scope) DO UPDATE SET version = excluded.version, migrated_at = now()
"""
_COME_AGAIN = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class Migration(NamedTuple):
    number: int
    name: str
    sql: str


def load_migrations(folder: Path) -> tuple[Migration, ...]:
    """The migrations of a folder, in their order; none for a folder that is empty.

    Raises:
        ValueError: a name is not of the form, or the numbers are not 1, 2, 3 and so on.
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            raise ValueError(f"{path.name}: a migration is named NNNN_pre_what.sql or NNNN_post_what.sql")
        found.append(Migration(int(named["number"]), path.stem, path.read_text(encoding="utf-8")))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"{folder.name}: migrations are numbered from 0001 without gaps or repeats, not {numbers}")
    return tuple(found)


async def migrate(
    connection: "asyncpg.Connection[Any]",
    scope: str,
    migrations: Sequence[Migration],
    placeholders: Mapping[str, str] | None = None,
) -> int:
    """Bring one schema up to date.

    Args:
        connection: of the owner, to the shard's database.
        scope: the schema's name; its version row is kept under it.
        migrations: all of them, in order.
        placeholders: what ``{name}`` in the files stands for. They go in as they are: safe text only.

    Returns:
        how many were applied; 0 if it was up to date.

    Raises:
        MigrationFailedError: one could not be applied. Those before it stand.
    """
    version = await connection.fetchval(_VERSION, scope) or 0
    applied = 0
    for migration in migrations:
        if migration.number > version:
            applied += await _apply(connection, scope, migration, _filled(migration.sql, placeholders or {}))
    return applied


async def _apply(connection: "asyncpg.Connection[Any]", scope: str, migration: Migration, sql: str) -> bool:
    for tries in range(1, _ATTEMPTS + 1):
        try:
            return await _apply_once(connection, scope, migration, sql)
        except _COME_AGAIN as error:
            if tries == _ATTEMPTS:
                raise MigrationFailedError(f"{scope} {migration.name}", f"no lock after {tries} tries") from error
            await asyncio.sleep(retry_delay_s(tries))
        except asyncpg.PostgresError as error:
            raise MigrationFailedError(f"{scope} {migration.name}", str(error)) from error
    raise AssertionError("unreachable")


async def _apply_once(connection: "asyncpg.Connection[Any]", scope: str, migration: Migration, sql: str) -> bool:
    async with connection.transaction():
        await connection.execute(_LOCK_TIMEOUT)
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('spaza migration ' || $1, 0))", scope)
        if (await connection.fetchval(_VERSION, scope) or 0) >= migration.number:
            return False
        await connection.execute(sql)
        await connection.execute(_RECORD, scope, migration.number)
    return True


def _filled(sql: str, placeholders: Mapping[str, str]) -> str:
    # Not str.format: braces are frequent in SQL.
    for name, value in placeholders.items():
        sql = sql.replace(f"{{{name}}}", value)
    return sql
