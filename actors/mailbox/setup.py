"""Sets up the journal in a database that is not one of the shards; those are set up with the rest of theirs."""

import asyncio
from pathlib import Path

from actors.shards.finding import connect

_SCHEMA = Path(__file__).with_name("schema.sql")
_LIMIT_S = 30.0


def set_up_journal(dsn: str) -> None:
    """Make the journal's tables in a database, or find them there. Blocks; call it outside of an event loop.

    Args:
        dsn: of the database, as the user who is to own them.

    Raises:
        TimeoutError: the database does not answer.
        asyncpg.PostgresError: it refuses.
    """
    asyncio.run(_set_up(dsn))


async def _set_up(dsn: str) -> None:
    async with asyncio.timeout(_LIMIT_S):
        connection = await connect(dsn, timeout_s=_LIMIT_S)
        try:
            await connection.execute(_SCHEMA.read_text(encoding="utf-8"))
        finally:
            await connection.close()
